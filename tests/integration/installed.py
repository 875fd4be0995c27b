"""An API server with the whole of deploy/base installed in it, as a user would do it: by kubectl.

The fixture `server` starts one for all integration tests but the operator's, which have one of their own: a running
operator would write to everybody's resources, and everybody's resources would be work for it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cluster.api_server import ApiServer
from cluster.errors import ClusterError
from cluster.processes import poll
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from demo.kubectl import Kubectl
from integration.evaluations import API_VERSION
from support.waiting import DEADLINE

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@contextlib.contextmanager
def installed_server(folder: Path) -> Iterator[ApiServer]:
    """Start a server in this folder, install, and hand it over; it ends with the block."""
    with ApiServer.start(folder) as server:
        kubectl_of(server).within("sidecar-system").apply_folder(DEPLOY / "base")
        server.create_service_account("default", "sidecar-system")
        _wait_until_served(server)
        yield server


def kubectl_of(server: ApiServer) -> Kubectl:
    """Return the pinned kubectl for this server."""
    program = Programs.of(Settings.from_environment().cache, Progress()).built("kubectl")
    return Kubectl(str(program), str(server.kubeconfig))


def _wait_until_served(server: ApiServer) -> None:
    """Return once the API server serves the resource: a definition just applied takes a moment."""
    if not poll(lambda: server.client.answers(f"/apis/{API_VERSION}/sidecarevaluations"), DEADLINE):
        raise ClusterError("sidecarevaluations are not served; is crds/sidecarevaluations.yaml valid?")
