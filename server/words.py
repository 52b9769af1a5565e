"""Every error in words for the person in front of the page; the server's own sentence stands below them."""

from typing import NamedTuple


class Words(NamedTuple):
    title: str
    text: str
    again: bool = False  # the same picture may do better in a moment


# By the code of the problem; `offline` and `other` are the page's own.
WORDS = {
    "bad-request": Words("The server did not understand that", "Choose the picture again; if it stays so, load the page anew."),
    "unauthorized": Words("This server wants a key", "Ask whoever runs it for one.", again=True),
    "forbidden": Words("Not allowed here", "Whoever runs this server has switched this off."),
    "cross-origin": Words("The page and the server do not belong together", "Open the page at the server's own address."),
    "url-not-allowed": Words("Pictures from that address are not fetched", "Save the picture and drop the file."),
    "s3-not-allowed": Words("Pictures from that bucket are not read", "Save the picture and drop the file."),
    "unknown-model": Words("That model is no longer here", "Load the page anew and choose another."),
    "not-found": Words("Nothing is there", "Load the page anew."),
    "method-not-allowed": Words("The server does not take that", "Load the page anew."),
    "not-acceptable": Words("There is no such answer", "This model's documents are of another kind."),
    "too-slow": Words("The picture came in too slowly", "The connection is slow or broke. Try again, or a smaller picture.", again=True),
    "version-refused": Words("The new version does not hold", "The one before goes on."),
    "too-large": Words("That is too large to send", "Make the picture smaller, or send fewer at once."),
    "too-many-pixels": Words("The picture has too many pixels", "Make it smaller: the sides matter, not the file."),
    "not-a-picture": Words("That is no picture", "JPEG, PNG, WebP, GIF and BMP are read."),
    "unsupported-content-type": Words("That is no picture", "JPEG, PNG, WebP, GIF and BMP are read."),
    "bad-picture": Words("The picture is damaged", "It breaks off or has wrong bytes in it. Export or take it again."),
    "fetch-failed": Words("The picture could not be fetched", "Save the picture and drop the file.", again=True),
    "fetch-too-slow": Words("Fetching the picture took too long", "Save the picture and drop the file.", again=True),
    "header-too-large": Words("The browser sent too much around the picture", "Load the page anew."),
    "not-kept": Words("That could not be kept", "Tell whoever runs the server that it has no room for what people say.", again=True),
    "busy": Words("Everybody is asking at once", "Try again in a moment.", again=True),
    "not-ready": Words("The model is still loading", "Try again in a moment.", again=True),
    "expired": Words("The answer took too long", "There is much to do just now. Try again in a moment.", again=True),
    "internal": Words("Something went wrong in the server", "It is not your picture's fault. Tell whoever runs it, with the request's id.", again=True),
    "offline": Words("The server cannot be reached", "Look at the connection, then try again.", again=True),
    "other": Words("That did not work", "Try again; if it stays so, tell whoever runs the server.", again=True),
}  # fmt: skip
