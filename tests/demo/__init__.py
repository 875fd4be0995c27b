"""The demo and the installation of the operator into a cluster, as `make demo` and `make deploy` run them."""
