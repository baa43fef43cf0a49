"""Times one training step of `runner` and of PyTorch against each other, on the CPU.

    cargo build --release
    pip install torch transformers
    python benches/compare.py                              # everything: three sizes, an hour or so
    python benches/compare.py --sizes 4x128 --rounds 2     # a first look: a minute or two

A step is forward, backward and AdamW on 16 x 128 tokens of a GPT-2 with a vocabulary of 50,257. Each measurement is a
process of its own, and never are two alive at a time. In every round each contender has its turn, so that whatever else
the machine is doing meets all of them; the steps of all rounds are pooled, the first ones of each process left out.

PyTorch runs plain, and again with glibc told to keep the memory it was given ("tuned"), which spares it page faults.
`runner` always runs plain. Needs Linux or macOS; nothing outside the standard library here, torch and transformers in
`pytorch.py`, which this starts.
"""

import argparse
import csv
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEEP_MEMORY = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
GIB = 2**30


@dataclass(frozen=True)
class Size:
    """A GPT-2 by its sizes; vocabulary and context are GPT-2's in all of them."""

    layers: int
    heads: int
    width: int


SIZES = {"124M": Size(12, 12, 768), "6x384": Size(6, 6, 384), "4x128": Size(4, 4, 128)}


@dataclass(frozen=True)
class Variant:
    """A program and the number format of its matrix products."""

    program: str
    dtype: str

    @property
    def name(self) -> str:
        return f"{self.program}-{self.dtype}"

    @property
    def is_pytorch(self) -> bool:
        return self.program != "runner"


PROGRAMS = ["runner", "minimal", "huggingface"]
VARIANTS = {v.name: v for v in (Variant(program, dtype) for dtype in ["f32", "bf16"] for program in PROGRAMS)}


@dataclass
class Contender:
    """A variant, how its memory allocator is set, and what was measured of it so far."""

    variant: Variant
    tuned: bool
    secs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{self.variant.name}, tuned" if self.tuned else self.variant.name

    @property
    def median(self) -> float:
        return statistics.median(self.secs)

    @property
    def peak(self) -> int:
        """The largest peak of any round, in bytes."""
        return max(self.peaks)

    def run(self, size: Size, args: argparse.Namespace) -> None:
        """One process: adds its steps after the warm-up, and its peak resident memory."""
        with tempfile.TemporaryDirectory(prefix="step-") as folder:
            command = pytorch_command if self.variant.is_pytorch else runner_command
            read = read_pytorch if self.variant.is_pytorch else read_runner
            peak = run_alone(command(self.variant, size, args, Path(folder)), self.tuned, Path(folder))
            steps = read(Path(folder))
        if len(steps) != args.warmup + args.steps or not all(math.isfinite(loss) for _, loss in steps):
            raise SystemExit(f"{self.label}: expected {args.warmup + args.steps} steps with finite losses, got {steps}")
        self.secs += [secs for secs, _ in steps[args.warmup :]]
        self.losses += [loss for _, loss in steps[args.warmup :]]
        self.peaks.append(peak)


def runner_command(variant: Variant, size: Size, args: argparse.Namespace, folder: Path) -> list[str]:
    settings = {
        "model.n_layer": size.layers,
        "model.n_head": size.heads,
        "model.n_embd": size.width,
        "train.max_steps": args.warmup + args.steps,
        "hardware.threads": args.threads,
        "hardware.dtype": variant.dtype,
    }
    assignments = [f"{key}={value}" for key, value in settings.items()] + args.set
    out = ["--quiet", "--runs-dir", str(folder / "runs"), "--reports-dir", str(folder / "reports")]
    return [str(args.runner), str(HERE / "step.toml"), *out, *(word for one in assignments for word in ("--set", one))]


def read_runner(folder: Path) -> list[tuple[float, float]]:
    """Seconds and loss of each step, from the run's record."""
    [metrics] = (folder / "runs").glob("*/*/metrics.csv")
    with metrics.open(newline="") as file:
        return [(float(row["step_secs"]), float(row["train_loss"])) for row in csv.DictReader(file) if int(row["step"])]


def pytorch_command(variant: Variant, size: Size, args: argparse.Namespace, _: Path) -> list[str]:
    shape = [f"--layers={size.layers}", f"--heads={size.heads}", f"--width={size.width}"]
    length = [f"--steps={args.warmup + args.steps}", f"--threads={args.threads}"]
    return [sys.executable, str(HERE / "pytorch.py"), variant.program, f"--dtype={variant.dtype}", *shape, *length]


def read_pytorch(folder: Path) -> list[tuple[float, float]]:
    """Seconds and loss of each step, as the child printed them."""
    lines = (folder / "stdout").read_text().splitlines()
    return [(step["secs"], step["loss"]) for step in map(json.loads, lines)]


def run_alone(command: list[str], tuned: bool, folder: Path) -> int:
    """Runs a command to its end and returns its peak resident memory in bytes."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    if tuned:
        environment["GLIBC_TUNABLES"] = KEEP_MEMORY
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        try:
            child = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        except OSError as error:
            raise SystemExit(
                f"cannot start {command[0]}: {error.strerror}; `cargo build --release` builds runner"
            ) from None
        with child:
            # Of this child alone, where `getrusage(RUSAGE_CHILDREN)` knows only the largest of all.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        said = (folder / "stderr").read_text()[-2000:].strip()
        raise SystemExit(f"exit code {child.returncode} from {shlex.join(command)}\n{said}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fastest_pytorch(contenders: list[Contender], dtype: str, tuned: bool) -> Contender | None:
    """What the ratios are to: the faster of the two models in this format."""
    rivals = [c for c in contenders if c.variant.is_pytorch and c.variant.dtype == dtype and c.tuned == tuned]
    return min(rivals, key=lambda c: c.median, default=None)


def table(contenders: list[Contender]) -> str:
    """The measurements as a Markdown table. A ratio of 2.00x is half the time; those to nobody are left out."""
    rivals = {
        f"vs PyTorch {dtype}{', tuned' if tuned else ''}": fastest_pytorch(contenders, dtype, tuned)
        for dtype in ["f32", "bf16"]
        for tuned in [False, True]
    }
    rivals = {title: rival for title, rival in rivals.items() if rival}
    head = ["", "s/step", "min", "max", "peak GiB", *rivals]
    rows = [
        [
            one.label,
            *(f"{secs:.3f}" for secs in (one.median, min(one.secs), max(one.secs))),
            f"{one.peak / GIB:.2f}",
            *(f"{rival.median / one.median:.2f}x" for rival in rivals.values()),
        ]
        for one in contenders
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in [head, rule, *rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in aligned)


def machine(threads: int) -> str:
    """The CPU as the system tells it, with the instructions that decide how fast f32 and bf16 can be."""
    name, flags = platform.processor() or platform.machine(), []
    if Path("/proc/cpuinfo").exists():
        about = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
        about = {key.strip(): value.strip() for key, value in about.items()}
        name = about.get("model name", name)
        known = about.get("flags", "").split()
        flags = [flag for flag in ["avx2", "avx512f", "avx512_bf16", "amx_bf16"] if flag in known]
    return f"{name} ({' '.join([platform.system(), *flags])}), {threads} of {os.cpu_count()} threads"


def versions(args: argparse.Namespace) -> dict[str, str]:
    """What is compared. Asking for it also shows at once whether everything is there."""
    commands = {
        "runner": [str(args.runner), "--version"],
        "pytorch": [sys.executable, str(HERE / "pytorch.py"), "--versions"],
    }
    found = {}
    for name in sorted({"pytorch" if variant.is_pytorch else "runner" for variant in args.variants}, reverse=True):
        with tempfile.TemporaryDirectory(prefix="step-") as folder:
            run_alone(commands[name], False, Path(folder))
            found[name] = (Path(folder) / "stdout").read_text().strip()
    return found


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), metavar="SIZE", help=", ".join(SIZES))
    parser.add_argument(
        "--variants",
        nargs="+",
        choices=VARIANTS,
        default=list(VARIANTS),
        metavar="VARIANT",
        help=f"of {', '.join(VARIANTS)} (default: all)",
    )
    parser.add_argument("--rounds", type=positive, default=3, help="processes per contender (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=5, help="timed steps per process (default: %(default)s)")
    parser.add_argument(
        "--warmup", type=not_negative, default=2, help="steps before these, not timed (default: %(default)s)"
    )
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads of each (default: %(default)s)")
    malloc = parser.add_mutually_exclusive_group()
    malloc.add_argument("--plain", action="store_true", help="PyTorch only plain")
    malloc.add_argument("--tuned", action="store_true", help="PyTorch only tuned")
    parser.add_argument(
        "--runner",
        type=Path,
        default=HERE.parent / "target/release/runner",
        metavar="FILE",
        help="the binary (default: the release build of this repository)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="passed on to runner, e.g. another setting to try",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write every single measurement there")
    args = parser.parse_args()
    args.variants = [VARIANTS[name] for name in args.variants]
    return args


def positive(text: str) -> int:
    """An argument that counts something there must be."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def not_negative(text: str) -> int:
    """An argument that counts something there may be."""
    if int(text) < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return int(text)


def enter(args: argparse.Namespace) -> list[Contender]:
    """Who takes part: `runner` once, PyTorch once for each way to set its allocator."""
    modes = [False] * (not args.tuned) + [True] * (not args.plain)
    if sys.platform != "linux":
        modes = [False]
    return [Contender(v, tuned) for v in args.variants for tuned in (modes if v.is_pytorch else [False])]


def main() -> None:
    args = parse_args()
    about = {"machine": machine(args.threads), **versions(args), "command": shlex.join(["python", *sys.argv])}
    print("\n".join(about.values()))
    sizes = {}
    for name in args.sizes:
        size, contenders, loads = SIZES[name], enter(args), []
        for turn in range(args.rounds):
            for one in contenders:
                loads.append(os.getloadavg()[0])
                print(f"{name}, round {turn + 1} of {args.rounds}: {one.label}", file=sys.stderr)
                one.run(size, args)
        print(f"\n{name}: {size.layers} layers, {size.heads} heads, {size.width} wide; ", end="")
        print(f"load average before each process {min(loads):.1f} to {max(loads):.1f}\n")
        print(table(contenders), flush=True)
        sizes[name] = [
            {"contender": c.label, "median_secs": c.median, "secs": c.secs, "losses": c.losses, "peak_bytes": c.peaks}
            for c in contenders
        ]
        if args.json:
            # After each size, so that an interruption leaves what was measured.
            args.json.write_text(json.dumps({**about, "sizes": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
