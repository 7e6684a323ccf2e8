"""The files of a release: archives that have the same bytes whenever the same commit is built, and a list of what
is in them (SPDX 2.3, https://spdx.github.io/spdx-spec/v2.3/)."""

import datetime
import gzip
import hashlib
import io
import json
import tarfile


def write_archive(path, files, epoch):
    """`files`: pathlib paths, which are at the top of the archive."""
    with open(path, "wb") as out, gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=epoch) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda each: each.name):
            entry = tarfile.TarInfo(file.name)
            content = file.read_bytes()
            entry.size, entry.mtime = len(content), epoch
            entry.mode = 0o755 if file.suffix == ".so" else 0o644
            archive.addfile(entry, io.BytesIO(content))


def write_sums(folder):
    """SHA256SUMS, of all files that stand in the folder itself."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{digest(file, 'sha256')}  {file.name}\n" for file in files))


def digest(file, algorithm):
    return hashlib.new(algorithm, file.read_bytes()).hexdigest()


def write_sbom(path, version, epoch, folders, parts):
    """`parts`: (name, version, licence, how it is in the libraries) of what other projects have made."""
    def package(name, its_version, licence):
        return {"SPDXID": f"SPDXRef-Package-{name}", "name": name, "versionInfo": its_version, "licenseConcluded": licence,
                "licenseDeclared": licence, "copyrightText": "NOASSERTION", "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False}

    packages, files, relations = [package("walmanager", version, "MIT")], [], []

    def relate(one, kind, other, comment=None):
        relations.append({"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
                         | ({"comment": comment} if comment else {}))

    relate("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Package-walmanager")
    for name, its_version, licence, how in parts:
        packages.append(package(name, its_version, licence))
        if how == "linked":
            relate("SPDXRef-Package-walmanager", "STATIC_LINK", f"SPDXRef-Package-{name}")
        else:
            relate(f"SPDXRef-Package-{name}", "BUILD_DEPENDENCY_OF", "SPDXRef-Package-walmanager", how)
    for folder in folders:
        for file in sorted(folder.glob("*.so")):
            reference = f"SPDXRef-File-{folder.name}-{file.name}"
            files.append({"SPDXID": reference, "fileName": f"./{folder.name}/{file.name}", "licenseConcluded": "MIT",
                          "copyrightText": "NOASSERTION", "fileTypes": ["BINARY"],
                          "checksums": [{"algorithm": name.upper(), "checksumValue": digest(file, name)} for name in ("sha1", "sha256")]})
            relate("SPDXRef-Package-walmanager", "CONTAINS", reference)
    of_files = hashlib.sha256("".join(file["checksums"][1]["checksumValue"] for file in files).encode()).hexdigest()
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"walmanager-{version}",
                "documentNamespace": f"https://spdx.org/spdxdocs/walmanager-{version}-{of_files}",
                "creationInfo": {"created": created, "creators": ["Tool: walmanager-scripts-release"]},
                "packages": packages, "files": files, "relationships": relations}
    path.write_text(json.dumps(document, indent=1) + "\n")
