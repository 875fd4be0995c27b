// Command coredns is CoreDNS with the plugins that the cluster's Corefile names (node_config.py) and no other: those
// for clouds and databases are most of what CoreDNS takes to compile.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	coremain.Run()
}
