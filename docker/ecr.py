"""Amazon ECR by boto3: a repository made as it should be, and the password for `docker login`."""

import base64
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# A tag can be moved in ECR unless the repository forbids it; what no tag names any more goes after two weeks.
SETTINGS = {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}
LIFECYCLE = """{"rules": [{"rulePriority": 1, "description": "untagged for two weeks", "action": {"type": "expire"},
 "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}}]}"""

_NAME = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9]+(?:[._/-][a-z0-9]+)*)")
EXPIRED = "the AWS credentials have expired; `aws sso login`, or fetch new ones"
# Of AWS and of botocore -> what to do.
SENTENCES = {
    "ExpiredTokenException": EXPIRED,
    "ExpiredToken": EXPIRED,
    "RequestExpired": EXPIRED,
    "UnauthorizedSSOTokenError": EXPIRED,
    "SSOTokenLoadError": EXPIRED,
    "TokenRetrievalError": EXPIRED,
    "NoCredentialsError": "no AWS credentials are found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "PartialCredentialsError": "the AWS credentials are incomplete; set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "UnrecognizedClientException": "AWS does not know these credentials in {region}; look at AWS_PROFILE, and whether the account has that region switched on",
    "EndpointConnectionError": "ECR does not answer in {region}; is that the region's name, and is there a network?",
    "ConnectTimeoutError": "ECR does not answer in {region}; is that the region's name, and is there a network?",
}


@dataclass(frozen=True)
class Ecr:
    account: str
    region: str
    name: str


def parse(repository: str) -> Ecr | None:
    """None where the name is not ECR's."""
    found = _NAME.fullmatch(repository)
    return Ecr(*found.groups()) if found else None


def prepare(registry: Ecr) -> str:
    """The password of the user AWS, good for twelve hours; the repository is there. Ends the program with a sentence."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        sys.exit("push: ECR needs boto3; install it with: pip install 'imago[serve]'")
    with _told(registry):
        session = boto3.session.Session(region_name=registry.region)
        limits = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 3})
        ecr = session.client("ecr", config=limits)
        _ensure(ecr, session.client("sts", config=limits), registry)
        (data,) = ecr.get_authorization_token()["authorizationData"]
    return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]


def _ensure(ecr: Any, sts: Any, registry: Ecr) -> None:
    try:
        found = ecr.describe_repositories(registryId=registry.account, repositoryNames=[registry.name])
    except ecr.exceptions.RepositoryNotFoundException:
        _create(ecr, sts, registry)
        return
    if found["repositories"][0]["imageTagMutability"] != "IMMUTABLE":
        print(f"push: warning: {registry.name}: its tags can be moved; make them immutable", file=sys.stderr)


def _create(ecr: Any, sts: Any, registry: Ecr) -> None:
    caller = sts.get_caller_identity()["Account"]
    if caller != registry.account:
        sys.exit(
            f"push: {registry.name} is not in account {registry.account}, and these credentials are of {caller}; "
            "change AWS_PROFILE or the repository's name"
        )
    try:
        ecr.create_repository(repositoryName=registry.name, **SETTINGS)
    except ecr.exceptions.RepositoryAlreadyExistsException:  # another push was quicker
        return
    ecr.put_lifecycle_policy(repositoryName=registry.name, lifecyclePolicyText=LIFECYCLE)
    print(f"push: made the repository {registry.name} in {registry.region}", file=sys.stderr)


@contextmanager
def _told(registry: Ecr) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ValueError as error:
        sys.exit(f"push: {error}; look at AWS_ENDPOINT_URL")
    except BotoCoreError as error:
        code, text = type(error).__name__, str(error)
    except ClientError as error:
        code, text = error.response["Error"].get("Code", "?"), error.response["Error"].get("Message", "")
    else:
        return
    sentence = SENTENCES.get(code, f"AWS says {code}: {' '.join(text.split())}").format(region=registry.region)
    sys.exit(f"push: {sentence}")
