"""The servers that cases fail against, started for the length of a run; what is not installed is left out."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.emulators.running import running

_PORTS = {
    "postgres": 15432, "mariadb": 13306, "redis": 16379, "locked_redis": 16380, "http": 18080, "https": 18443,
    "ssh": 12222, "mqtt": 11883, "s3": 15000, "memcached": 11211, "etcd": 12379, "silent": 19999, "ftp": 12121,
}  # fmt: skip
_START_SECONDS = 30


class Servers:
    """Starts each server that is installed, and stops what it started."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder, self.python = folder, python
        self.processes: list[subprocess.Popen[bytes]] = []
        self.addresses: dict[str, str | int] = {}
        self._silent: socket.socket | None = None
        self._emulators = ExitStack()

    def start(self) -> dict[str, str | int]:
        """The addresses by the names that cases use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self._certificate()
        for each in (self._http, self._postgres, self._mariadb, self._redis, self._ssh, self._mqtt, self._others):
            with suppress(LookupError, subprocess.SubprocessError, OSError):  # no such program, or no such user
                each()
        with suppress(RuntimeError, OSError):  # where no Google Cloud SDK is found
            found = self._emulators.enter_context(running())
            self.addresses["EMULATORS"] = found.environment()  # type: ignore[assignment]
        silent = self._silent = socket.socket()
        silent.bind(("127.0.0.1", _PORTS["silent"]))
        silent.listen(100)
        full = self.folder / "full"
        full.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", str(full)], check=False)
        self.addresses |= {"PORTS": dict(_PORTS), "CERT": str(self.folder / "server.pem")}  # type: ignore[dict-item]
        return self.addresses

    def stop(self) -> None:
        """End what was started here."""
        self._emulators.close()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        subprocess.run(["umount", str(self.folder / "full")], check=False)
        if self._silent is not None:
            self._silent.close()

    def _run(self, command: list[str], port: int, user: str | None = None) -> None:
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(command[0])
        log = (self.folder / f"{Path(command[0]).name}-{port}.log").open("wb")
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=str(self.folder)))
        for _ in range(_START_SECONDS * 10):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                return
            time.sleep(0.1)

    def _certificate(self) -> None:
        pem = self.folder / "server.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=warehouse.internal", "-keyout", str(pem), "-out", str(self.folder / "certificate.pem")],
            check=False, capture_output=True,
        )  # fmt: skip
        pem.write_text(pem.read_text() + (self.folder / "certificate.pem").read_text())

    def _http(self) -> None:
        module = [sys.executable, "-m", "benchmarks.corpus.broken_http"]
        here = Path(__file__).parents[2]
        self.processes.append(subprocess.Popen([*module, str(_PORTS["http"])], cwd=here))
        pem = str(self.folder / "server.pem")
        self.processes.append(subprocess.Popen([*module, str(_PORTS["https"]), pem], cwd=here))
        self.addresses |= {
            "HTTP": f"http://127.0.0.1:{_PORTS['http']}",
            "HTTPS": f"https://127.0.0.1:{_PORTS['https']}",
            "NOWHERE": "http://127.0.0.1:9",
        }

    def _postgres(self) -> None:
        data, port = self.folder / "postgres", _PORTS["postgres"]
        data.mkdir(exist_ok=True)
        shutil.chown(data, "postgres")
        (self.folder / "pw").write_text("secret")
        initdb = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), Path("initdb"))
        if not (data / "PG_VERSION").exists():
            subprocess.run(
                [str(initdb), "-D", str(data), "-U", "postgres", "--pwfile", str(self.folder / "pw"),
                 "-A", "scram-sha-256"],
                check=True, user="postgres", capture_output=True, cwd=str(data),
            )  # fmt: skip
        options = [f"port={port}", "unix_socket_directories=", "max_connections=25", "lock_timeout=1500"]
        server = str(initdb.parent / "postgres")
        self._run([server, "-D", str(data), *(part for each in options for part in ("-c", each))], port, "postgres")
        self.addresses["PG"] = f"postgresql://postgres:secret@127.0.0.1:{port}/postgres"

    def _mariadb(self) -> None:
        data, port = self.folder / "mariadb", _PORTS["mariadb"]
        if not data.exists():
            data.mkdir()
            shutil.chown(data, "mysql")
            subprocess.run(
                ["mariadb-install-db", f"--datadir={data}", "--user=mysql", "--auth-root-authentication-method=normal"],
                check=True, capture_output=True,
            )  # fmt: skip
        options = [f"--port={port}", f"--socket={data}/s.sock", "--bind-address=127.0.0.1", "--max-connections=20"]
        options += ["--innodb-lock-wait-timeout=2", "--lock-wait-timeout=2", "--sql-mode=STRICT_ALL_TABLES"]
        self._run(["mariadbd", "--no-defaults", f"--datadir={data}", "--user=mysql", *options], port)

    def _redis(self) -> None:
        self._run(["redis-server", "--port", str(_PORTS["redis"]), "--save", "", "--maxclients", "40"], _PORTS["redis"])
        locked = ["--requirepass", "secret", "--maxmemory", "2mb", "--save", ""]
        self._run(["redis-server", "--port", str(_PORTS["locked_redis"]), *locked], _PORTS["locked_redis"])

    def _ssh(self) -> None:
        key = self.folder / "host_key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        Path("/run/sshd").mkdir(parents=True, exist_ok=True)
        options = [f"HostKey={key}", f"Port={_PORTS['ssh']}", "ListenAddress=127.0.0.1", "PidFile=none"]
        self._run(["/usr/sbin/sshd", "-D", "-e", *(p for each in options for p in ("-o", each))], _PORTS["ssh"])

    def _mqtt(self) -> None:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {_PORTS['mqtt']} 127.0.0.1\nallow_anonymous false\n")
        self._run(["mosquitto", "-c", str(config)], _PORTS["mqtt"])

    def _others(self) -> None:
        moto = str(Path(self.python).parent / "moto_server")
        self._run([moto, "-H", "127.0.0.1", "-p", str(_PORTS["s3"])], _PORTS["s3"])
        self.addresses["S3"] = f"http://127.0.0.1:{_PORTS['s3']}"
        self._run(["memcached", "-u", "nobody", "-p", str(_PORTS["memcached"])], _PORTS["memcached"])
        etcd = [f"--listen-client-urls=http://127.0.0.1:{_PORTS['etcd']}", "--listen-peer-urls=http://127.0.0.1:12380"]
        etcd += [f"--advertise-client-urls=http://127.0.0.1:{_PORTS['etcd']}", f"--data-dir={self.folder / 'etcd'}"]
        self._run(["etcd", *etcd], _PORTS["etcd"])
