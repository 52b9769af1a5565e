"""Everything that can go wrong, without HTTP in it: the text of each is one sentence a person can act on."""


class ImagoError(Exception):
    """A failure that the user can understand and mend; the command line prints its text and nothing more."""

    code = "error"  # stable, for programs; the text is for people


class BundleError(ImagoError):
    """A bundle that breaks the contract: says which file, what was found and what was wanted."""

    code = "bundle"


class Unreachable(BundleError):
    """Storage that does not answer: the bundle may be good, and trying again may help."""

    code = "unreachable"


class MissingExtra(ImagoError):
    """A library that this work needs is not installed; the text names the command that installs it."""

    code = "missing-extra"


class DataError(ImagoError):
    """Training data that cannot be used as a whole: no pictures, no classes, one class."""

    code = "data"


class PictureError(ImagoError):
    """A picture that was refused; its children say why."""

    code = "picture"


class NotAPicture(PictureError):
    """Bytes in no format that Imago reads."""

    code = "not-a-picture"


class BadPicture(PictureError):
    """Right format, but it cannot be decoded: truncated or corrupt."""

    code = "bad-picture"


class TooManyPixels(PictureError):
    """More pixels than the memory limit allows; told from the header, nothing was decoded."""

    code = "too-many-pixels"


class Busy(ImagoError):
    """The queue is full: come back later."""

    code = "busy"


class Expired(ImagoError):
    """The deadline passed before an answer was ready."""

    code = "expired"


class SchemaError(ImagoError):
    """A RELAX NG schema that is no good, or outside of what is read here: says which line."""

    code = "schema"


class DocumentError(ImagoError):
    """An XML document that its schema does not allow: says which line."""

    code = "document"
