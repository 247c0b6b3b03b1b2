# SPDX-License-Identifier: Apache-2.0
"""Holds a served instance against the source that it was made from.

What may differ is what the DCB format cannot hold, rule by rule; everything else must be equal.
Each permitted difference is named here with the rule that permits it, so that a new one fails.
"""

import math

import numpy
from pydicom.dataelem import DataElement_from_raw, RawDataElement
from pydicom.multival import MultiValue

# Rewritten from the pixel header and the codestream (format section 3).
PIXEL_MODULE = {0x00280002, 0x00280004, 0x00280006, 0x00280100, 0x00280101, 0x00280102,
                0x00280103, 0x00281052, 0x00281053, 0x7FE00010}
# In the stored-value domain: shifted or dropped (format section 3).
STORED_VALUE_DOMAIN = {0x00280106, 0x00280107, 0x00280120, 0x00280121}
MAX_BINARY = 7680  # longer binaries were dropped by the writer (rule 8)
BINARY = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}


def _as(vr, dataset, tag):
    """The element of an Implicit VR data set read with the VR that the source has: the dictionary
    of the judge knows some private elements by another one."""
    raw = dataset.get_item(tag)
    if isinstance(raw, RawDataElement) and raw.VR is None:
        return DataElement_from_raw(raw._replace(VR=vr), dataset.read_encoding)
    return dataset[tag]


def _is_empty(element):
    value = element.value
    if value is None:
        return True
    if element.VR == "SQ":
        return len(value) == 0
    if isinstance(value, (str, bytes, list, MultiValue)):
        return len(value) == 0
    return str(value) == ""


def _values(element):
    value = element.value
    return list(value) if isinstance(value, (list, MultiValue)) else [value]


def _same_number(a, b):
    return float(a) == float(b) or (math.isnan(float(a)) and math.isnan(float(b)))


def _same_scalar(vr, a, b):
    if vr in ("DS", "FL", "FD", "IS", "US", "SS", "UL", "SL", "UV", "SV"):
        if a is None or b is None or a == "" or b == "":
            return (a in (None, "")) and (b in (None, ""))
        if vr == "DS":
            # A source text over 16 characters is out of the standard: the nearest text that fits.
            return _same_number(a, b) or float(f"{float(a):.10g}") == float(f"{float(b):.10g}")
        return _same_number(a, b)
    if vr == "PN":
        return str(a).rstrip("=^ ") == str(b).rstrip("=^ ")
    if isinstance(a, bytes) or isinstance(b, bytes):
        raw_a = a if isinstance(a, bytes) else str(a).encode()
        raw_b = b if isinstance(b, bytes) else str(b).encode()
        return raw_a.rstrip(b"\0 ") == raw_b.rstrip(b"\0 ")
    return str(a).strip(" \0") == str(b).strip(" \0")


def same_value(source, served):
    """True where two elements hold the same value, whatever the form of numbers in text."""
    if source.VR in BINARY or served.VR in BINARY:
        a, b = source.value or b"", served.value or b""
        if isinstance(a, bytes) and isinstance(b, bytes):
            return a.rstrip(b"\0") == b.rstrip(b"\0")
    left, right = _values(source), _values(served)
    if len(left) != len(right):
        # Trailing empty values are not kept.
        while left and left[-1] in ("", None):
            left.pop()
        while right and right[-1] in ("", None):
            right.pop()
    return len(left) == len(right) and all(
        _same_scalar(source.VR, a, b) for a, b in zip(left, right))


def _binary_bytes(element):
    return len(element.value) if isinstance(element.value, bytes) else 0


def _at(dataset, path):
    """The element at a path of tags and item numbers in another slice's data set, or None."""
    element = None
    for step in path:
        if isinstance(step, int) and step < 0:
            items = element.value if element is not None and element.VR == "SQ" else []
            index = -step - 1
            if index >= len(items):
                return None
            dataset, element = items[index], None
        else:
            element = dataset.get(step) if step in dataset else None
            if element is None:
                return None
    return element


def _varies(siblings, path, element):
    """True where the value at path is not the same in all slices: the format does not attribute
    nested and binary values to slices (rule 7)."""
    for sibling in siblings:
        other = _at(sibling, path)
        if other is None or other.VR != element.VR:
            return True
        if element.VR == "SQ":
            if len(other.value) != len(element.value):
                return True
        elif not same_value(element, other):
            return True
    return False


def _lost_something(item, siblings, path):
    """True where an item holds values that differ by slice or were dropped: if that is what the
    item is for (a reference's UID, a code's value), the whole item is rightly left out."""
    for element in item:
        here = path + (element.tag,)
        if element.VR == "SQ":
            if any(_lost_something(inner, siblings, here + (-i - 1,))
                   for i, inner in enumerate(element.value)):
                return True
        elif _binary_bytes(element) > MAX_BINARY or _varies(siblings, here, element):
            return True
    return False


def _item_differences(sequence, found, siblings, path):
    """Holds the served items against the source's in their order; items may be missing only where
    they lost something."""
    served, j, wrong = list(found.value), 0, []
    for i, item in enumerate(sequence.value):
        here = path + (-i - 1,)
        if j < len(served):
            here_wrong = differences(item, served[j], siblings, frozenset(), here)
            left = len(sequence.value) - i
            if not here_wrong or left <= len(served) - j:
                wrong += here_wrong
                j += 1
                continue
        if not _lost_something(item, siblings, here):
            wrong.append(f"{here}: the item is missing")
    if j < len(served):
        wrong.append(f"{path}: {len(served) - j} items that the source does not have")
    return wrong


def _overlay_was_dropped(source, group):
    """An overlay whose data the writer dropped is none: its group is left out."""
    data = source.get((group, 0x3000))
    return data is not None and _binary_bytes(data) > MAX_BINARY


def differences(source, served, siblings, unattributable=frozenset(), path=()):
    """Lines that say what is wrong with `served`. siblings: the source data sets of all slices;
    unattributable: tags that the file does not attribute to slices (see make_dcbs)."""
    wrong = []
    nested = bool(path)
    for element in source:
        tag = int(element.tag)
        if element.tag.group == 2 or element.tag.element == 0:
            continue
        if not nested and tag in PIXEL_MODULE | STORED_VALUE_DOMAIN:
            continue
        here = path + (element.tag,)
        found = _as(element.VR, served, element.tag) if element.tag in served else None
        absent = found is None or _is_empty(found)
        if _is_empty(element):
            if not absent:
                wrong.append(f"{here}: empty in the source, has a value")
            continue
        if absent:
            if element.tag.group >> 8 == 0x60 and _overlay_was_dropped(source, element.tag.group):
                continue
            if not nested and tag in unattributable and _varies(siblings, here, element):
                continue
            binary = element.VR in BINARY or isinstance(element.value, bytes)
            if binary and _binary_bytes(element) > MAX_BINARY:
                continue
            if (nested or element.VR == "SQ") and _varies(siblings, here, element):
                continue
            if element.VR == "SQ" and all(
                    len(item) == 0 or _lost_something(item, siblings, here + (-i - 1,))
                    for i, item in enumerate(element.value)):
                continue
            wrong.append(f"{here} {element.VR}: missing, source has {len(_values(element))} values")
            continue
        if tag == 0x00080005 and str(found.value) == "ISO_IR 192":
            continue  # text that the source's set cannot hold: the text itself is compared below
        if element.VR == "SQ":
            wrong += _item_differences(element, found, siblings, here)
        elif not same_value(element, found):
            wrong.append(f"{here} {element.VR}: differs from the source")
    for element in served:
        if element.tag.group == 2 or element.tag in source or _is_empty(element):
            continue
        if not nested and int(element.tag) in PIXEL_MODULE | {0x00080005}:
            continue
        wrong.append(f"{path + (element.tag,)}: not in the source")
    return wrong


def real_values(dataset, samples):
    """Samples to real-world values by the data set's rescale (PS3.3 C.11.1.1.2)."""
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    return samples.astype(numpy.float64) * slope + intercept


def pixel_differences(source, served, served_samples, tolerance):
    """Compares real-world values; tolerance is the file's own stated loss, else 0."""
    expected = real_values(source, source.pixel_array)
    got = real_values(served, served_samples)
    if expected.shape != got.shape:
        return [f"pixels: shape {got.shape}, source has {expected.shape}"]
    worst = float(numpy.max(numpy.abs(expected - got)))
    return [] if worst <= tolerance else [f"pixels: off by up to {worst}, {tolerance} allowed"]


def native_samples(dataset):
    """The samples of an uncompressed instance, decoded here and not by the code under test."""
    dtype = numpy.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    samples = numpy.frombuffer(dataset.PixelData, dtype=dtype.newbyteorder(
        "<" if dataset.is_little_endian else ">"))
    shape = (dataset.Rows, dataset.Columns)
    if dataset.SamplesPerPixel > 1:
        shape += (dataset.SamplesPerPixel,)
    count = int(numpy.prod(shape))
    return samples[:count].reshape(shape)
