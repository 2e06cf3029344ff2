"""Draw the picture of architecture.md from the rule that the tests keep (optional extra: requirements/docs.txt).

    python -m documentation.figures.draw_rooms
"""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt

from documentation.figures.draw_model_figures import arrow, box
from tests.test_import_direction import ALLOWED, LEAVES, ROOT

PICTURE = Path(__file__).resolve().parents[1] / 'img' / 'rooms.png'
WIDTH, HEIGHT = 1.9, 1.25            # of a place in the picture
TRAINING, TABLES = 'train*.py', {'train_config', 'train_loss'}      # tables import nothing of ours but each other
COLOURS = {True: '#dbe5f3', False: '#f6ecd2'}     # a room; files of the root


def together() -> dict[str, set[str]]:
    """Rooms with what they import. Training commands are one entry, other files of the root none."""
    rooms: dict[str, set[str]] = {}
    for name, imports in ALLOWED.items():
        if (entry := entry_of(name)) is not None:
            rooms.setdefault(entry, set()).update(entry_of(other) for other in imports)
    rooms = {name: imports - {name, None} for name, imports in rooms.items()}
    imported = set().union(*rooms.values())
    return {name: imports for name, imports in rooms.items() if imports or name in imported}


def entry_of(name: str) -> str | None:
    if name in LEAVES | TABLES or '/' in name:
        return None
    if (ROOT / name).is_dir():
        return name
    return TRAINING if name.startswith('train') or name.endswith('_train') else \
        'converter' if name == 'inference' else None


def reach(rooms: dict[str, set[str]], name: str) -> set[str]:
    """Everything that a room imports, also by way of others."""
    return rooms[name].union(*(reach(rooms, other) for other in rooms[name]))


def floor_of(rooms: dict[str, set[str]], name: str) -> int:
    return 1 + max((floor_of(rooms, other) for other in rooms[name]), default=-1)


def draw(path: Path = PICTURE) -> None:
    """A floor for each step away from rooms that import nothing; arrows that others imply are left out."""
    rooms = together()
    floors: dict[int, list[str]] = {}
    for name in sorted(rooms):
        floors.setdefault(floor_of(rooms, name), []).append(name)
    most = max(map(len, floors.values()))
    places = {name: ((column + 0.5 + (most - len(row)) / 2) * WIDTH, floor * HEIGHT)
              for floor, row in floors.items() for column, name in enumerate(row)}
    fig, ax = plt.subplots(figsize=(most * WIDTH * 0.9, (len(floors) + 1) * HEIGHT * 0.85))
    for name, imports in rooms.items():
        implied = set().union(*(reach(rooms, other) for other in imports)) if imports else set()
        for other in sorted(imports - implied):
            (x, y), (to_x, to_y) = places[name], places[other]
            arrow(ax, (x, y - 0.3), (to_x, to_y + 0.3), '#8896a8', 0.04 if x < to_x else -0.04)
    for name, (x, y) in places.items():
        is_room = name != TRAINING
        box(ax, x, y, f'{name}/' if is_room else name, COLOURS[is_room], WIDTH * 0.8, 0.6)
    box(ax, most * WIDTH / 2, -HEIGHT * 0.8, '  '.join(f'{leaf}/' for leaf in sorted(LEAVES)) +
        '   import nothing of ours; everybody may import them', '#dcefe0', most * WIDTH * 0.95, 0.4)
    ax.set_xlim(0, most * WIDTH)
    ax.set_ylim(-HEIGHT * 1.2, (len(floors) - 0.4) * HEIGHT)
    ax.axis('off')
    fig.savefig(path, dpi=110, bbox_inches='tight')
    plt.close(fig)


if __name__ == '__main__':
    draw()
