"""What a node leaves on a machine beside its processes: what must be there before, and how all of it goes."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

TOOLS = (
    "etcd",
    "containerd",
    "runc",
    "ctr",
    "docker-registry",
    "htpasswd",
    "openssl",
    "iptables",
    "conntrack",
    "kubectl",
)
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "pause")
# What a kubelet and a kube-proxy set for the whole machine.
KERNEL = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/conf/all/route_localnet",
)
# What they write outside of the folder they are given.
ELSEWHERE = (
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/lib/dockershim",
    "/var/log/pods",
    "/var/log/containers",
)


def missing(binaries: Path) -> str:
    """Why there can be no cluster here, or nothing."""
    return _not_installed(binaries) or _not_free()


def _not_installed(binaries: Path) -> str:
    if gone := [name for name in TOOLS if not shutil.which(name)]:
        return f"not installed: {', '.join(gone)}"
    if not Path("/usr/lib/cni/bridge").exists():
        return "not installed: containernetworking-plugins"
    if gone := [name for name in BUILT if not (binaries / name).exists()]:
        return f"not built in {binaries}: {', '.join(gone)}; make test-cluster does it"
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True)
    minor = int(re.match(r"\d+", json.loads(done.stdout)["clientVersion"]["minor"])[0])
    return "" if minor > 20 else f"kubectl 1.{minor} knows no kustomize components; 1.21 or newer wanted"


def _not_free() -> str:
    if os.geteuid():
        return "a node needs root"
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True).stdout
    if _groups() or "KUBE-" in rules:
        return "this machine is a node already, or a killed run has left its cgroups (kubepods) and rules (KUBE-...)"
    return ""


def _groups() -> list[Path]:
    """The cgroups of all pods, of version 1 and 2."""
    cgroups = Path("/sys/fs/cgroup")
    return [*cgroups.glob("*/kubepods"), *cgroups.glob("kubepods")]


@contextmanager
def removed(folder: Path, bridge: str):
    """What a cluster with its files in `folder` leaves behind, or a failed start of one, goes at the end."""
    with ExitStack() as stack:
        stack.callback(_restore, _kernel(), [path for path in ELSEWHERE if not Path(path).exists()])
        stack.callback(_drop_rules)
        stack.callback(_unmount, folder, bridge, _namespaces())
        stack.callback(_kill_containers, folder)
        yield


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def _restore(kernel: dict[Path, str], elsewhere: list[str]) -> None:
    for path, value in kernel.items():
        path.write_text(value)
    for path in elsewhere:
        shutil.rmtree(path, ignore_errors=True)


def _unmount(folder: Path, bridge: str, before: set[str]) -> None:
    """Namespaces, mounts and the bridge, where pods were not taken down."""
    for namespace in _namespaces() - before:
        run("ip", "netns", "delete", namespace)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if mount.startswith(f"{folder}/"):
            run("umount", "--lazy", mount)
    if bridge in os.listdir("/sys/class/net"):
        run("ip", "link", "delete", bridge)


def _namespaces() -> set[str]:
    folder = Path("/run/netns")
    return {path.name for path in folder.iterdir() if path.name.startswith("cni-")} if folder.is_dir() else set()


def _kernel() -> dict[Path, str]:
    return {path: path.read_text() for path in map(Path("/proc/sys").joinpath, KERNEL) if path.exists()}


def _kill_containers(folder: Path) -> None:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes()
            if b"containerd-shim" in words and str(folder).encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
    for group in _groups():
        paths = sorted([group, *filter(Path.is_dir, group.rglob("*"))], reverse=True)
        for path in paths:
            for pid in (path / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for path in paths:
            _wait_empty(path)
            path.rmdir()


def _wait_empty(group: Path) -> None:
    until = time.monotonic() + 10
    while pids := (group / "cgroup.procs").read_text():
        assert time.monotonic() < until, f"{group}: these do not end: {pids}"
        time.sleep(0.05)


def _drop_rules() -> None:
    for command in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "mangle"):
            _drop_table((command, "--wait", "--table", table))


def _drop_table(iptables: tuple[str, ...]) -> None:
    rules = [shlex.split(line) for line in run(*iptables, "-S").splitlines() if "KUBE-" in line]
    for rule in rules:
        if rule[0] == "-A" and not rule[1].startswith("KUBE-"):
            run(*iptables, "-D", *rule[1:])
    chains = [rule[1] for rule in rules if rule[0] == "-N"]
    for flag in ("-F", "-X"):
        for chain in chains:
            run(*iptables, flag, chain)
