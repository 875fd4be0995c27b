"""The project's own local Kubernetes, in two shapes: a whole node, and an API server with etcd alone.

`python -m cluster up` gives the node (see `cluster.node`), `cluster.api_server.ApiServer` the lone server for
integration tests. Both run the same pinned programs, built from Go modules into a cache outside the tree.
Only the standard library is used, so any Python 3.11 can bring the cluster up before anything is installed.
"""
