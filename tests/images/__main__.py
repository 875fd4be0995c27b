"""Command line: `python -m images build|base|load|list|sizes|clean`, called by `make images`.

It reads the environment once: CLUSTER, CONTAINER_TOOL, BASE_IMAGE, TENSORFLOW and where the cache is. What does not
hold is one plain line on standard error and exit code 1.
"""

import argparse
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import ClusterError
from cluster.preflight import Machine
from cluster.progress import Progress
from cluster.settings import Settings
from images import buildah, foreign
from images.foreign import ForeignImages
from images.local import ROOT, LocalImages
from images.node import local_node
from images.recipes import ALL, Recipe
from images.sizes import report

COMMANDS = {
    "build": "build the images of what is in the tree now",
    "base": "make the local base image and print its name",
    "load": "bring the built images to the local node",
    "list": "print names and ids of the built images",
    "sizes": "print how large the images are once compressed",
    "clean": "delete everything that was built",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    arguments = _parser().parse_args(argv)
    recipes = [recipe for recipe in ALL if recipe.short in (arguments.image or [recipe.short])]
    progress, environ = Progress(), buildah.environment(os.environ)
    settings = Settings.from_environment()
    try:
        with _alone(settings.cache / "images", progress):
            _run(arguments.command, recipes, LocalImages(settings.cache / "images", environ, progress), settings)
    except ClusterError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:7} {what}" for name, what in COMMANDS.items())
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("images", description="The project's images.", epilog=listed, formatter_class=form)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("image", nargs="*", choices=[[], *(recipe.short for recipe in ALL)], help="default: both")
    return parser


def _run(command: str, recipes: list[Recipe], images: LocalImages, settings: Settings) -> None:
    tool = foreign.tool(images.environ)
    if tool and command in {"build", "load"}:
        store = ForeignImages(tool, ROOT, images.environ, images.progress)
        _each(recipes, store.build if command == "build" else store.load)
    elif command == "build":
        _each(recipes, images.ensure)
    elif command == "base":
        print(images.ensure_base())
    elif command == "load":
        load(recipes, images, settings)
    elif command == "clean":
        images.clean()
    else:
        _each(recipes, lambda recipe: show(recipe, images, measured=command == "sizes"))


def _each(recipes: list[Recipe], act: Callable[[Recipe], object]) -> None:
    for recipe in recipes:
        act(recipe)


def load(recipes: list[Recipe], images: LocalImages, settings: Settings) -> None:
    """Load the built images into the local node, those that it lacks."""
    node = local_node(settings, Machine.this())
    for recipe in recipes:
        image = images.require(recipe)
        imported = node.load(image, images.layout, images.folder / "tmp" / f"{recipe.name}.tar")
        images.progress.say(f"{recipe.short}: {'loaded into' if imported else 'already in'} the node")


def show(recipe: Recipe, images: LocalImages, *, measured: bool) -> None:
    """Print an image's name and id, or its sizes."""
    image = images.require(recipe)
    print(f"{image.name}  {image.config}")
    if measured:
        print(report(image, images.layout, images.folder / "sizes"))


@contextmanager
def _alone(folder: Path, progress: Progress) -> Iterator[None]:
    """Wait until no other command works on this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("waiting for another command that works on the images")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
