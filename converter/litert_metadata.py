"""TFLite's metadata: a table in the buffer TFLITE_METADATA, and the files that it names as a zip behind the model.

Readers of the model look at its front, readers of a zip at its back, so both are one file. The numbers of fields and of
enumerations are those of metadata_schema.fbs 1.1.0.
"""

import io
import zipfile
from typing import Any

import flatbuffers

from bundle.canonical import zipped
from converter.about import ABOUT, LABELS, about, about_json, label_lines
from converter.subject import Subject

_RGB, _AXIS_LABELS = 1, 2  # ColorSpaceType, AssociatedFileType
_IMAGE, _NORMALISATION = 2, 1  # members of the unions ContentProperties and ProcessUnitOptions


class _Builder(flatbuffers.Builder):
    """Weights begin at multiples of 16 bytes, as kernels want them; the generated code knows nothing of that."""

    def StartVector(self, size: int, count: int, alignment: int) -> Any:
        return super().StartVector(size, count, max(alignment, 16))


def with_metadata(model: bytes, subject: Subject) -> bytes:
    """The .tflite file with the table in it, labels.txt and about.json behind it."""
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromPackedBuf(model, 0)
    content.buffers.append(schema.BufferT(data=list(_table(subject))))
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(content.buffers) - 1
    content.metadata = [*(content.metadata or []), entry]
    builder = _Builder(len(model) + 65536)
    builder.Finish(content.Pack(builder), b"TFL3")
    return _with_files(bytes(builder.Output()), {LABELS: label_lines(subject), ABOUT: about_json(subject)})


def _with_files(model: bytes, files: dict[str, bytes]) -> bytes:
    """The zip's offsets count from the front of the model, so it is written behind it and not only joined."""
    out = io.BytesIO(model)
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as ready, zipfile.ZipFile(out, "a") as archive:
        for member in ready.infolist():
            archive.writestr(member, ready.read(member))
    return out.getvalue()


def _table(subject: Subject) -> bytes:
    builder = flatbuffers.Builder(1024)
    told, spec = about(subject), subject.spec
    size = _fields(builder, {0: ("Uint32", spec.width), 1: ("Uint32", spec.height)})
    image = _fields(builder, {0: ("Int8", _RGB), 1: ("UOffsetTRelative", size)})
    content = _fields(builder, {0: ("Uint8", _IMAGE), 1: ("UOffsetTRelative", image)})
    options = _fields(
        builder, {0: ("UOffsetTRelative", _floats(builder, 0.0)), 1: ("UOffsetTRelative", _floats(builder, 1.0))}
    )
    unit = _fields(builder, {0: ("Uint8", _NORMALISATION), 1: ("UOffsetTRelative", options)})
    pixels = _texts(builder, {0: "pixels", 1: "8-bit RGB, 0 to 255"}, {3: content, 4: _list(builder, unit)})
    labels = _texts(builder, {0: LABELS, 1: "one label a line, in output order"}, {}, {2: ("Int8", _AXIS_LABELS)})
    scores = _texts(builder, {0: "scores", 1: f"{told['scores']} scores"}, {6: _list(builder, labels)})
    graph = _texts(builder, {}, {2: _list(builder, pixels), 3: _list(builder, scores)})
    model = {0: told["name"], 1: f"{told['description']}; bundle {told['id']}", 2: told["version"]}
    model |= {4: told["author"], 5: told.get("license", ""), 7: "1.0.0"}
    root = _texts(builder, model, {3: _list(builder, graph)})
    builder.Finish(root, b"M001")
    return bytes(builder.Output())


def _texts(
    builder: Any, texts: dict[int, str], tables: dict[int, int], rest: dict[int, tuple[str, int]] | None = None
) -> int:
    """A table of strings and of tables that are there already."""
    strings = {slot: ("UOffsetTRelative", builder.CreateString(text)) for slot, text in texts.items()}
    offsets = {slot: ("UOffsetTRelative", table) for slot, table in tables.items()}
    return _fields(builder, {**strings, **offsets, **(rest or {})})


def _fields(builder: Any, fields: dict[int, tuple[str, int]]) -> int:
    """A table: slot -> kind and value; all it points to is written before."""
    builder.StartObject(max(fields) + 1)
    for slot, (kind, value) in fields.items():
        getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
    return int(builder.EndObject())


def _list(builder: Any, table: int) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def _floats(builder: Any, value: float) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return int(builder.EndVector())
