"""Builds the two images from their Dockerfiles and brings them to the node, without a registry.

`python -m images build` and `load` are what `make images` calls. On the local node buildah builds on a small
Debian root that mmdebstrap makes; an OCI layout in the cache holds the result with uncompressed layers, so that
a changed line of code moves a few kilobytes and not TensorFlow. With docker or podman their own tools do the work.
"""
