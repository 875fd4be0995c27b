// Command gpu-plugin advertises one nvidia.com/gpu that is not there, so that scheduling, allocation and release
// of a GPU are the real ones. Its argument is a socket in the kubelet's plugins_registry folder: the kubelet finds
// it there by itself, after its own restart too.
package main

import (
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/klog/v2"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
	plugin "k8s.io/kubernetes/pkg/kubelet/cm/devicemanager/plugin/v1beta1"
)

func main() {
	if len(os.Args) != 2 {
		klog.Exit("usage: gpu-plugin SOCKET")
	}
	devices := []*deviceplugin.Device{{ID: "gpu-0", Health: deviceplugin.Healthy}}
	stub := plugin.NewDevicePluginStub(devices, os.Args[1], "nvidia.com/gpu", false, false)
	stub.SetAllocFunc(allocate)
	if err := stub.Start(); err != nil {
		klog.Exit(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	if err := stub.Stop(); err != nil {
		klog.Exit(err)
	}
}

// allocate answers for each container as NVIDIA's own plugin does, less the device itself.
func allocate(request *deviceplugin.AllocateRequest, _ map[string]*deviceplugin.Device) (*deviceplugin.AllocateResponse, error) {
	response := &deviceplugin.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		granted := map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")}
		response.ContainerResponses = append(response.ContainerResponses, &deviceplugin.ContainerAllocateResponse{Envs: granted})
	}
	return response, nil
}
