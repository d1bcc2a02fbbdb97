#!/usr/bin/env python3
"""Everything that is to be known of a real GPU, in under eight minutes, on a machine that need not have Rust.

    python3 benches/gpu.py --build      # once, where Rust is: puts the programs into target/gpu
    python3 benches/gpu.py              # where the GPU is, with target/gpu carried along; needs Python with PyTorch

What is run, each part with its share of the time:
1. `wgrnn devices`, and `wgrnn check` over every cell.
2. `wgrnn profile` of large models: products of 1024 and more as a share of the adapter's measured multiply-add rate, the
   length of submissions, recording and submitting for a dispatch, gaps between kernels, a step of the time loop.
3. `wgrnn tune` of two models: the usual sizes, kernels that span workgroups, a wavefront over layers, and what is faster than these.
4. A training step of the five usual shapes and of DeepBench's list beside PyTorch with cuDNN in fp32 (TF32 off), TF32 and
   bf16. Shapes go from the most usual to the longest, in as many rounds as there is time for; one table of ratios.
5. The same beside burn, where target/gpu holds `burn-peer`.
What did not fit into the time is said. The result is written after every part, as markdown, into $OUT where that is set,
else into benches/results. --smoke runs every line of it with tiny shapes on any adapter, with PyTorch on the CPU.
"""

import argparse
import datetime
import json
import math
import os
import platform
import queue
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from compare import FIELDS, HERE, PYTORCH, build_step

PRECISIONS = ["fp32", "tf32", "bf16"]
# The time at which each part must have ended, as a share of all of it.
ENDS = {"check": 0.28, "profile": 0.40, "tune": 0.48, "table": 0.90, "burn": 1.0}
# (cell, H, layers, B, T, V): the usual five, of character models.
USUAL = [("lstm", *sizes, 65) for sizes in [(128, 1, 32, 50), (128, 2, 32, 50), (256, 2, 32, 50), (512, 2, 64, 64), (512, 3, 50, 50)]]
# DeepBench's recurrent layers, each under a head of 65 symbols.
DEEPBENCH = [
    [("rnn", H, 1, B, 50, 65) for H in (1760, 2048, 2560) for B in (16, 32, 64, 128)],
    [("lstm", H, 1, B, 25, 65) for H in (512, 1024, 2048, 4096) for B in (16, 32, 64, 128)],
    [("lstm", 1536, 1, B, 50, 65) for B in (8, 16, 32)] + [("lstm", 256, 1, B, 150, 65) for B in (16, 32, 64)],
    [("gru", H, 1, 32, T, 65) for T in (187, 375, 750, 1500) for H in (1536, 2048, 2560, 2816)]
    + [("gru", 1024, 1, B, 1500, 65) for B in (32, 64)],
]
TINY = [("lstm", 16, 1, 4, 5, 11), ("lstm", 16, 2, 4, 5, 11), ("rnn", 24, 1, 4, 6, 11), ("gru", 24, 1, 4, 7, 11)]
# Models whose products are large, small and in between: (H, layers, B, T).
PROFILED = [(1024, 2, 64, 32), (2048, 1, 64, 32), (128, 2, 32, 50), (512, 2, 64, 64)]
TINY_PROFILED = [(16, 2, 4, 5)]
# Models whose sizes are looked for: (H, layers, B, T).
TUNED = [(128, 2, 32, 50), (512, 2, 64, 64)]
# A product counts as large from this size on, in every direction.
LARGE = 1024


class Clock:
    """What is left of the time."""

    def __init__(self, minutes):
        self.start, self.seconds = time.monotonic(), 60 * minutes

    def spent(self):
        return time.monotonic() - self.start

    def left(self, part):
        """Seconds until a part must have ended."""
        return ENDS[part] * self.seconds - self.spent()


class Report:
    """Sections of markdown, written to the file whenever one is added."""

    def __init__(self, path, head):
        self.path, self.head, self.sections = path, head, {}

    def put(self, title, lines, show=True):
        self.sections[title] = lines
        parts = ["\n".join([f"## {title}", "", *lines]) for title, lines in self.sections.items()]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("\n\n".join([self.head, *parts]) + "\n")
        if show:
            print(f"\n## {title}\n", *lines, sep="\n", flush=True)


class Resident:
    """PyTorch in one process for all shapes: starting it takes longer than most measurements."""

    def __init__(self, python, device):
        self.command = [python, str(PYTORCH), "--serve", "--device", device]
        self.process = None

    def ask(self, request, limit):
        """The answer to a line, or the reason for none."""
        if self.process is None:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self.lines, self.errors = queue.Queue(), []
            threading.Thread(target=self.read, args=(self.process,), daemon=True).start()
            threading.Thread(target=lambda p: self.errors.extend(p.stderr), args=(self.process,), daemon=True).start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.lines.get(timeout=limit)
        except queue.Empty:
            self.end()
            return None, f"no answer in {limit:.0f} s"
        except OSError:
            line = None
        if line is None:
            self.end()
            return None, (self.errors or ["it ended"])[-1].strip()
        answer = json.loads(line)
        return (None, answer["error"]) if "error" in answer else (answer, None)

    def read(self, process):
        for line in process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def run(command, limit, environment=None):
    """Standard output, what went wrong if anything, and whether the time was up."""
    if limit <= 0:
        return "", "no time was left", True
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired as error:
        out = error.stdout or b""
        return out if isinstance(out, str) else out.decode(errors="replace"), f"not done after {limit:.0f} s", True
    except OSError as error:
        return "", f"{command[0]}: {error.strerror}", False
    fault = None
    if done.returncode != 0:
        fault = f"exit code {done.returncode}: " + (done.stderr.strip().splitlines() or ["nothing said"])[-1]
    return done.stdout, fault, False


def name(shape):
    cell, H, layers, B, T, _ = shape
    return f"{cell} {H} x {layers}, B {B}, T {T}"


def work(shape):
    """Multiply-adds of the recurrent products of a step, in some unit."""
    cell, H, layers, B, T, _ = shape
    return {"rnn": 1, "gru": 3, "lstm": 4}[cell] * layers * T * B * H * H


def ordered():
    """The usual shapes, then DeepBench's families in turns, each from small to large."""
    families = [sorted(family, key=work) for family in DEEPBENCH]
    turns = [family[n] for n in range(max(map(len, families))) for family in families if n < len(family)]
    return USUAL + turns


def table(rows):
    head, *rest = rows
    if not rest:
        return ["None was measured."]
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rest]]


def geometric(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def devices(args, report):
    """The device to measure, as `wgrnn devices` names it."""
    out, fault, _ = run([args.wgrnn, "devices", "--json"], 60)
    if fault:
        sys.exit(f"gpu: wgrnn devices: {fault}")
    found = [d for d in json.loads(out)["devices"] if d["device"] != "cpu"]
    if args.gpu:
        found = [d for d in found if args.gpu in (str(d["device"]), d["name"]) or args.gpu.lower() in d["name"].lower()]
    elif not args.smoke:
        found = [d for d in found if not d["software"]]
    if not found:
        sys.exit(f"gpu: no {args.gpu or 'real GPU'} among the adapters: wgrnn devices lists them, --gpu NAME takes one")
    lines = [f"{key}: {found[0][key]}" for key in sorted(found[0])]
    report.put("Device", ["```", *lines, "```"])
    return found[0]


def check(args, clock, device, report):
    command = [args.wgrnn, "check", "--device", device["device"]]
    if args.smoke:
        command += ["--cell", "lstm", "--hidden", 5]
    start = clock.spent()
    out, fault, _ = run(command, clock.left("check"))
    passed = sum(line.rstrip().endswith(" ok") for line in out.splitlines())
    last = (out.strip().splitlines() or [""])[-1]
    said = f"{fault}; {passed} comparisons were within their tolerance until then" if fault else last
    bad = [line for line in out.splitlines() if "FAIL" in line or "fault" in line][:10]
    report.put("Check", [f"`{shlex.join(map(str, command[1:]))}`: {said} ({clock.spent() - start:.0f} s)", *bad])


def profiles(args, clock, device, report):
    """Products, submissions, recording and the time loop, by `wgrnn profile`."""
    products = [["product", "model", "m x k x n", "ms", "GFLOP/s", "of the measured rate"]]
    hosts = [["model", "step ms", "dispatches", "recording + submitting, us each", "submissions", "longest ms",
              "device at work", "gaps ms", "median us", "longest us, after"]]
    loops = [["kernel", "model", "us a time step", "of the limit"]]
    notes, limits, shares = [], "", []
    for H, layers, B, T in TINY_PROFILED if args.smoke else PROFILED:
        model = f"lstm {H} x {layers}, B {B}, T {T}"
        command = [args.wgrnn, "profile", "--device", device["device"], "--hidden", H, "--layers", layers, "--batch", B]
        command += ["--seq-len", T, "--steps", 8, "--json"]
        out, fault, _ = run(command, min(clock.left("profile"), 45))
        if fault:
            notes.append(f"{model}: {fault}")
            continue
        found = json.loads(out)
        rate = found["limits"]["gflops"]
        limits = f"Measured rates: {rate:.0f} GFLOP/s of multiply-adds in registers, {found['limits']['gbytes']:.0f} GB/s of a copy."
        for kernel in found["kernels"]:
            sizes = [int(word) for word in kernel["shape"].split() if word.isdigit()]
            if kernel["kind"] == "matmul" and len(sizes) == 3 and (min(sizes) >= LARGE or args.smoke):
                share = kernel["gflops"] / rate
                shares.append(share)
                row = [kernel["name"], model, kernel["shape"], f"{kernel['ms']:.4f}", f"{kernel['gflops']:.0f}", f"{share:.1%}"]
                products.append(row)
            if kernel["kind"] == "scan":
                share = f"{kernel['limit_share']:.1%} {kernel['bound']}"
                loops.append([kernel["name"], model, f"{1e3 * kernel['ms'] / T:.2f}", share])
        host, gaps = found["host"], found["gaps"]
        share = host["device_share"]
        row = [model, f"{found['total']['step_ms']:.3f}", str(host["dispatches"]), f"{host['us_per_dispatch']:.2f}"]
        row += [str(host["submissions"]), f"{host['longest_submission_ms']:.2f}", f"{share:.1%}" if share else "no clock"]
        if gaps:
            row += [f"{gaps['ms']:.3f}", f"{gaps['median_us']:.2f}", f"{gaps['longest_us']:.2f}, {gaps['after']}"]
        else:
            row += ["", "", ""]
        hosts.append(row)
    which = "Products" if args.smoke else f"Products of {LARGE} and more in every direction"
    lines = [*filter(None, [limits]), f"{which}:", "", *table(products)]
    if shares:
        lines += ["", f"{min(shares):.1%} at least, {geometric(shares):.1%} on average (geometric)."]
    lines += ["", *table(hosts), "", "Gaps are those where every kernel is timed in a pass of its own.", "", *table(loops)]
    report.put("Products, submissions, dispatches", lines + [f"Missing: {note}" for note in notes])


def tuned(args, clock, device, report):
    """What `wgrnn tune` measures: nothing is kept of it, the table's steps have the usual sizes."""
    rows, notes = [["model", "sizes", "ms a step", "of the usual"]], []
    for n, (H, layers, B, T) in enumerate(models := TINY_PROFILED if args.smoke else TUNED):
        seconds = int(clock.left("tune") / (len(models) - n)) - 3
        command = [args.wgrnn, "tune", "--device", device["device"], "--hidden", H, "--layers", layers, "--batch", B]
        command += ["--seq-len", T, "--seconds", max(seconds, 1), "--json"]
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "XDG_CACHE_HOME": cache, "HOME": cache, "LOCALAPPDATA": cache}
            out, fault, _ = run(command, clock.left("tune"), environment)
        model = f"lstm {H} x {layers}, B {B}, T {T}"
        if fault:
            notes.append(f"{model}: {fault}")
            continue
        found = json.loads(out)
        for what in found["measured"]:
            took = f"{what['ms']:.3f}" if what["ms"] else "cannot be"
            share = f"{what['ms'] / found['usual_ms']:.2f}" if what["ms"] else ""
            rows.append([model, what["what"], took, share])
    report.put("Sizes", table(rows) + [f"Missing: {note}" for note in notes])


def step_time(args, shape, device, limit):
    words = dict(zip((field for _, field in FIELDS), shape[1:]))
    command = [args.step, "--device", device["device"], "--cell", shape[0], "--seconds", args.seconds]
    for flag, field in FIELDS:
        command += [f"--{flag}", words[field]]
    out, fault, late = run(command, limit)
    return (None, fault, late) if fault else (json.loads(out.splitlines()[-1]), None, False)


def torch_missing(args, limit):
    """Why PyTorch cannot be measured, if it cannot."""
    probe = "import torch; print(torch.cuda.is_available())"
    out, fault, _ = run([args.python, "-c", probe], limit)
    if fault:
        return f"PyTorch is missing: {args.python}: {fault}"
    if args.torch_device.startswith("cuda") and "True" not in out:
        return "PyTorch sees no CUDA device"
    return None


def steps(args, clock, device, report):
    """The table: our times by shape, for the peers after it."""
    shapes = TINY if args.smoke else ordered()
    missing = torch_missing(args, clock.left("table"))
    peer = Resident(args.python, args.torch_device)
    times = {shape: {who: [] for who in ["wgrnn", *PRECISIONS][: 1 if missing else None]} for shape in shapes}
    faults, about = {}, missing or "PyTorch did not run"
    for round_number in range(args.rounds):
        for shape in shapes:
            for who, found in times[shape].items():
                limit = min(args.limit, clock.left("table"))
                if (shape, who) in faults or limit < 1:
                    continue
                print(f"round {round_number + 1}: {name(shape)}: {who}", file=sys.stderr)
                if who == "wgrnn":
                    line, fault, _ = step_time(args, shape, device, limit)
                else:
                    request = dict(zip(["cell", "H", "layers", "B", "T", "V"], shape), precision=who, seconds=args.seconds)
                    line, fault = peer.ask(request, limit)
                if line:
                    found.append(line["ms_median"])
                    if who != "wgrnn":
                        about = f"PyTorch {line['version']} on {line['device']}"
                else:
                    faults[(shape, who)] = fault
        last = clock.left("table") < 1 or round_number + 1 == args.rounds
        put_steps(report, times, faults, about, last)
        if last:
            break
    peer.end()
    return {shape: of["wgrnn"] for shape, of in times.items()}


def put_steps(report, times, faults, about, show):
    rows = [["shape", "wgrnn ms", *(f"PyTorch {p} ms, ratio" for p in PRECISIONS), "rounds"]]
    ratios = {p: {} for p in PRECISIONS}
    left_out = []
    for shape, of in times.items():
        if not of["wgrnn"]:
            if (shape, "wgrnn") not in faults:
                left_out.append(name(shape))
                continue
        row = [name(shape), f"{statistics.median(of['wgrnn']):.4g}" if of["wgrnn"] else "failed"]
        for precision in PRECISIONS:
            pairs = [peer / ours for peer, ours in zip(of.get(precision, []), of["wgrnn"])]
            if pairs:
                ratios[precision][shape] = statistics.median(pairs)
                row.append(f"{statistics.median(of[precision]):.4g}, {ratios[precision][shape]:.3g}x")
            else:
                row.append("failed" if (shape, precision) in faults else "no time" if precision in of else "missing")
        rows.append(row + [str(len(of["wgrnn"]))])
    lines = [f"{about}. A ratio is PyTorch's time / wgrnn's: 2x is twice as fast as PyTorch. wgrnn computes in 32 bits.", ""]
    for precision, of in ratios.items():
        if of:
            usual = [ratio for shape, ratio in of.items() if shape in USUAL]
            least = min(of, key=of.get)
            text = f"- {precision}: geometric mean {geometric(of.values()):.3g}x over {len(of)} of {len(times)} shapes"
            text += f" ({geometric(usual):.3g}x over the usual)" if usual else ""
            lines.append(text + f", least {of[least]:.3g}x at {name(least)}")
    lines += ["", *table(rows)]
    lines += ["", f"Shapes for which no time was left: {'; '.join(left_out)}."] if left_out else []
    lines += [f"Failed: {name(shape)}, {who}: {fault}" for (shape, who), fault in faults.items()]
    report.put("Training steps beside PyTorch", lines, show)


def burn(args, clock, ours, report):
    if not args.burn:
        report.put("Training steps beside burn", [f"burn is missing: {args.bin} holds no `burn-peer`."])
        return
    rows, ratios, notes = [["shape", "wgrnn ms", "burn ms", "ratio"]], [], []
    for shape in TINY if args.smoke else ordered():
        if shape[0] != "lstm" or not ours.get(shape):
            continue
        limit = min(clock.left("burn"), args.limit)
        if limit < 3:
            notes.append("No time was left for the other shapes.")
            break
        command = [args.burn, "--device", args.burn_device, "--steps", 3, "--warm-up", 2]
        for (flag, _), size in zip(FIELDS, shape[1:]):
            command += [f"--{flag}", size]
        out, fault, late = run(command, limit)
        if fault:
            notes.append(f"Failed: {name(shape)}: {fault}")
            continue
        line = json.loads(out.splitlines()[-1])
        mine = statistics.median(ours[shape])
        ratios.append(line["ms_median"] / mine)
        rows.append([name(shape), f"{mine:.4g}", f"{line['ms_median']:.4g}", f"{ratios[-1]:.3g}x"])
        if len(rows) == 2:
            notes.append(f"burn {line['version']} on {line['device']}.")
    mean = [f"Geometric mean {geometric(ratios):.3g}x over {len(ratios)} shapes.", ""] if ratios else []
    report.put("Training steps beside burn", mean + table(rows) + ["", *notes])


def programs(args):
    """The paths of the programs; burn's is optional."""
    ending = ".exe" if os.name == "nt" else ""
    for program in ["wgrnn", "step", "burn-peer"]:
        path = (args.bin / (program + ending)).resolve()
        if path.exists():
            # A copy over a network may have lost the bit.
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | 0o755)
        elif program != "burn-peer":
            sys.exit(f"gpu: {path} does not exist: python3 benches/gpu.py --build, where Rust is, makes it")
        else:
            path = None
        setattr(args, program.split("-")[0], path)


def build(folder):
    """Puts the programs that this needs into a folder."""
    if subprocess.run(["cargo", "build", "--release"], cwd=HERE.parent).returncode != 0:
        sys.exit("gpu: wgrnn could not be built")
    folder.mkdir(parents=True, exist_ok=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    ending = ".exe" if os.name == "nt" else ""
    shutil.copy2(target / "release" / f"wgrnn{ending}", folder)
    shutil.copy2(build_step(), folder / f"step{ending}")
    peer = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "peers" / "burn" / "target")) / "release" / f"burn-peer{ending}"
    if peer.exists():
        # Its symbols are a third of it.
        copy = folder / peer.name
        if subprocess.run(["strip", "-o", copy, peer]).returncode if shutil.which("strip") else True:
            shutil.copy2(peer, copy)
    print(*sorted(folder.iterdir()), sep="\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=HERE.parent / "target" / "gpu", help="the folder of the programs")
    parser.add_argument("--build", action="store_true", help="build them into that folder, and end")
    parser.add_argument("--gpu", help="an adapter's index or a part of its name (default: the first real GPU)")
    parser.add_argument("--torch-device", help="cuda, or cpu (default: cuda, with --smoke cpu)")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--burn-device", default="auto", help="auto, software, discrete:N, integrated:N or virtual:N")
    parser.add_argument("--minutes", type=float, help="all the time there is (default: 7.5, with --smoke 2)")
    parser.add_argument("--seconds", type=float, help="timed work of one contender at a shape (default: 0.5)")
    parser.add_argument("--limit", type=float, default=25, help="seconds that one measurement may take")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all shapes, as far as the time lasts")
    parser.add_argument("--out", type=Path, help="the file of the result")
    parser.add_argument("--smoke", action="store_true", help="every line with tiny shapes, on any adapter")
    args = parser.parse_args()
    args.torch_device = args.torch_device or ("cpu" if args.smoke else "cuda")
    args.minutes = args.minutes or (2 if args.smoke else 7.5)
    args.seconds = args.seconds or (0.1 if args.smoke else 0.5)
    return args


def main():
    args = arguments()
    if args.build:
        build(args.bin)
        return
    programs(args)
    clock = Clock(args.minutes)
    now = datetime.datetime.now(datetime.timezone.utc)
    folder = Path(os.environ["OUT"]) if os.environ.get("OUT") else HERE / "results"
    path = args.out or folder / f"{now:%Y-%m-%d-%H%M}-gpu{'-smoke' if args.smoke else ''}.md"
    version = run([args.wgrnn, "--version"], 20)[0].strip()
    head = [
        f"# {version} on a GPU{': a trial with tiny shapes, no measurement' if args.smoke else ''}",
        "",
        f"{now:%Y-%m-%d %H:%M} UTC; {platform.platform()}, {os.cpu_count()} threads; "
        f"`{shlex.join(['python3', *sys.argv])}`; {args.minutes:g} minutes at most.",
    ]
    report = Report(path, "\n".join(head))
    device = devices(args, report)
    check(args, clock, device, report)
    profiles(args, clock, device, report)
    tuned(args, clock, device, report)
    ours = steps(args, clock, device, report)
    burn(args, clock, ours, report)
    print(f"\n{path}, after {clock.spent():.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
