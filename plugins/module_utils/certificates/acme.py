# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates from an ACME authority (RFC 8555), through python3-acme, and when it wants them renewed (RFC 9773)."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import josepy
import requests
from acme import client, errors, messages
from ansible_collections.slipway.ops.plugins.module_utils.certificates import certificate as x
from ansible_collections.slipway.ops.plugins.module_utils.certificates.challenges import ChallengeError, Solver
from ansible_collections.slipway.ops.plugins.module_utils.certificates.due import AcmeError, certificate_id, moment
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

LONGEST = datetime.timedelta(seconds=180)  # of an order, from its first question to the certificate
TRIES = 5
_AGENT = "slipway"


class _Network(client.ClientNetwork):
    """python3-acme sends a message once more when its nonce is refused; an authority may refuse that one, too."""

    def post(self, *words: Any, **options: Any) -> Any:
        for _ in range(TRIES):
            try:
                return super().post(*words, **options)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
                refused = error
        raise refused


@dataclass(frozen=True)
class Acme:
    """An authority, and who we are there. ``ca`` is a file with what its own HTTPS is verified with."""

    directory: str
    accounts: Path
    email: str = ""
    ca: str = ""

    def obtain(self, csr: str, solver: Solver, profile: str = "") -> str:
        """The certificate and its intermediates, PEM."""
        with self._told():
            here = self._client()
            offered = getattr(here.directory.meta, "profiles", None) or {}
            if profile and profile not in offered:
                raise AcmeError(f"{self.directory} has no profile {profile!r}, but {', '.join(offered) or 'none'}")
            order = here.new_order(csr.encode(), **({"profile": profile} if profile else {}))
            with contextlib.ExitStack() as answers:
                for authorization in order.authorizations:
                    if authorization.body.status == messages.STATUS_PENDING:
                        self._answer(here, authorization, solver, answers)
                return here.poll_and_finalize(order, datetime.datetime.now() + LONGEST).fullchain_pem

    def window(self, leaf: str) -> tuple[datetime.datetime, datetime.datetime] | None:
        """When the authority wants this certificate renewed; None where it does not say."""
        try:
            here = self._client(registered=False)
            url = here.directory["renewalInfo"].rstrip("/") + "/" + certificate_id(x.parse(leaf))
            told = here.net.get(url).json()["suggestedWindow"]
            return moment(told["start"]), moment(told["end"])
        except Exception:  # whatever is wrong, the certificate's lifetime decides
            return None

    def _client(self, registered: bool = True) -> Any:
        net = _Network(josepy.JWKRSA.load(self._account_key()), user_agent=_AGENT, timeout=30)
        net.verify_ssl = self.ca or True
        acme = client.ClientV2(client.ClientV2.get_directory(self.directory, net), net)
        if not registered:
            return acme
        who = messages.NewRegistration.from_data(email=self.email or None, terms_of_service_agreed=True)
        try:
            acme.new_account(who)
        except errors.ConflictError as known:
            net.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
        return acme

    def _account_key(self) -> bytes:
        """Made once for each authority. Losing it costs nothing but an account."""
        path = self.accounts / f"{hashlib.sha256(self.directory.encode()).hexdigest()[:16]}.key"
        if not path.is_file():
            make_directory(self.accounts, 0o700)
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            plain = serialization.NoEncryption()
            text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
            replace(path, text, 0o600)
        return path.read_bytes()

    def _answer(self, here: Any, authorization: Any, solver: Solver, answers: contextlib.ExitStack) -> None:
        name = authorization.body.identifier.value
        challenge = next((one for one in authorization.body.challenges if one.chall.typ == solver.kind), None)
        if challenge is None:
            offered = ", ".join(one.chall.typ for one in authorization.body.challenges)
            raise AcmeError(f"the authority takes no {solver.kind} for {name}, but {offered}")
        response, answer = challenge.response_and_validation(here.net.key)
        answers.enter_context(solver.placed(name, challenge.chall.encode("token"), answer))
        here.answer_challenge(challenge, response)

    @contextlib.contextmanager
    def _told(self) -> Any:
        """Whatever python3-acme raises becomes a sentence for an operator."""
        try:
            yield
        except errors.ValidationError as error:
            failed = [
                (one.body.identifier.value, each.error) for one in error.failed_authzrs for each in one.body.challenges
            ]
            reasons = [f"{name}: {problem.detail}" for name, problem in failed if problem]
            raise AcmeError(f"the authority could not verify {'; '.join(reasons)}") from error
        except (messages.Error, errors.IssuanceError) as error:
            problem = getattr(error, "error", error)
            limited = str(problem.typ).endswith(":rateLimited")
            raise AcmeError(f"{self.directory} refused: {problem.detail or problem.typ}", limited) from error
        except errors.TimeoutError as error:
            raise AcmeError(f"{self.directory} did not decide within {LONGEST.seconds} s") from error
        except ChallengeError as error:
            raise AcmeError(str(error)) from error
        except (requests.RequestException, errors.Error, ValueError, KeyError) as error:
            raise AcmeError(f"{self.directory} does not answer as an ACME authority ({error})") from error
