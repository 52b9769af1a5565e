"""Runs kubectl, and says in a sentence why it refused. KUBECTL names the program (and its options), KUBECONFIG the cluster."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, TextIO

Done = subprocess.CompletedProcess[str]
KUBECTL = shlex.split(os.environ.get("KUBECTL", "")) or ["kubectl"]
# What kubectl says -> what to do; the first that is found counts.
SENTENCES = {
    r"current-context is not set|cannot locate|no configuration has been provided": "no cluster is chosen; kubectl config use-context NAME, or set KUBECONFIG",
    r"must be logged in|Unauthorized|provide credentials|token has expired|ExpiredToken": "the cluster does not take these credentials; log in again (EKS: aws sso login, aws eks update-kubeconfig)",
    r"getting credentials|executable \S+ (?:not found|failed)": "the program that gets the cluster's credentials failed; see whether it is installed and logged in",
    r"forbidden": "not allowed: {line}",
    r"Unable to connect|connection refused|was refused|no such host|i/o timeout|TLS handshake|x509:": "the cluster does not answer: {line}",
    r"no matches for kind": "the cluster does not know a kind of the overlay: {line}",
    r"is immutable|may not change": "{line}; delete that object, then deploy again",
}


def kubectl(*words: str | Path) -> str:
    """What it prints; ends the program where it refuses."""
    done = tried(*words)
    return done.stdout if done.returncode == 0 else refused(done)


def tried(*words: str | Path, stdout: int | TextIO = subprocess.PIPE, content: str | None = None) -> Done:
    """With `content` on its standard input, where there is one."""
    command = [*KUBECTL, *words]
    try:
        return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, input=content, text=True, check=False)
    except OSError as error:
        sys.exit(f"deploy: {KUBECTL[0]}: {error.strerror}; install kubectl, or name it in KUBECTL")


def refused(done: Done) -> NoReturn:
    sys.exit(f"deploy: {meaning(done)}")


def meaning(done: Done) -> str:
    """Of the line that gives the reason: the last that is known, of many for one reason."""
    lines = done.stderr.strip().splitlines() or ["kubectl said nothing"]
    for pattern, sentence in SENTENCES.items():
        found = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if found:
            return sentence.format(line=found[-1])
    return f"kubectl: {lines[-1]}"
