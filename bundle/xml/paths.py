"""SVG paths of absolute M, L, C and Z with whole numbers: one spelling for one drawing."""

from lxml import etree


def canonical(root: etree._Element) -> None:
    """TO COME"""
