/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pixel_codec_dcmtk.cc - pixel_codec.h over DCMTK's codecs, which are registered once.
 *
 * They work on data sets: each frame gets one of its own, with nothing in it but what describes its
 * pixels.
 */
#include "pixel_codec.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcrleerg.h>
#include <dcmtk/dcmdata/dcrlerp.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpeg/djencode.h>
#include <dcmtk/dcmjpeg/djrplol.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/dcmjpls/djencode.h>
#include <dcmtk/dcmjpls/djrparam.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace
{

/* Colours stay as they are: the data set that says what they are does too. */
void register_codecs()
{
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs(EDC_never);
    DJLSDecoderRegistration::registerCodecs();
    DcmRLEEncoderRegistration::registerCodecs(OFFalse, 0, OFFalse);
    DJEncoderRegistration::registerCodecs(ECC_lossyYCbCr, EUC_never);
    DJLSEncoderRegistration::registerCodecs(0, 0, 0, 0, OFFalse, 0, OFFalse, EJLSUC_never);
}

void begin()
{
    static std::once_flag once;
    std::call_once(once, register_codecs);
}

OFCondition describe(DcmDataset &dataset, const dcb_pixel_shape &shape)
{
    const char *photometric = shape.photometric_interpretation;
    if (photometric[0] == '\0')
        photometric = shape.samples_per_pixel == 1 ? "MONOCHROME2" : "RGB";
    const struct {
        DcmTagKey tag;
        std::uint32_t value;
    } numbers[] = {
        {DCM_SamplesPerPixel, shape.samples_per_pixel},
        {DCM_Rows, shape.rows},
        {DCM_Columns, shape.columns},
        {DCM_BitsAllocated, shape.bits_allocated},
        {DCM_BitsStored, shape.bits_stored},
        {DCM_HighBit, shape.bits_stored - 1u},
        {DCM_PixelRepresentation, shape.is_signed ? 1u : 0u},
    };
    OFCondition result = dataset.putAndInsertString(DCM_PhotometricInterpretation, photometric);
    for (const auto &number : numbers)
        if (result.good())
            result = dataset.putAndInsertUint16(number.tag, (Uint16)number.value);
    if (result.good() && shape.samples_per_pixel > 1)
        result = dataset.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    return result;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

OFCondition insert_codestream(DcmDataset &dataset, const void *codestream, std::size_t nbytes,
                              E_TransferSyntax syntax)
{
    /* storeCompressedFrame copies; it takes bytes that it could change. */
    Uint8 *bytes = static_cast<Uint8 *>(const_cast<void *>(codestream));
    std::unique_ptr<DcmPixelData> pixels(new DcmPixelData(DCM_PixelData));
    std::unique_ptr<DcmPixelSequence> sequence(new DcmPixelSequence(DcmTag(DCM_PixelData, EVR_OB)));
    std::unique_ptr<DcmPixelItem> table(new DcmPixelItem(DcmTag(DCM_Item, EVR_OB)));
    DcmOffsetList offsets;
    OFCondition result = sequence->insert(table.get());
    if (result.good()) {
        table.release();
        result = sequence->storeCompressedFrame(offsets, bytes, (Uint32)nbytes, 0);
    }
    if (result.bad())
        return result;
    pixels->putOriginalRepresentation(syntax, nullptr, sequence.release());
    result = dataset.insert(pixels.get(), OFTrue);
    if (result.good())
        pixels.release();
    return result;
}

/* Are the decoded samples of that shape? *by_plane: how they lie. */
bool has_shape(bool *by_plane, DcmDataset &dataset, const dcb_pixel_shape &shape)
{
    Uint16 rows = 0, columns = 0, samples = 0, allocated = 0, planar = 0;
    dataset.findAndGetUint16(DCM_Rows, rows);
    dataset.findAndGetUint16(DCM_Columns, columns);
    dataset.findAndGetUint16(DCM_SamplesPerPixel, samples);
    dataset.findAndGetUint16(DCM_BitsAllocated, allocated);
    dataset.findAndGetUint16(DCM_PlanarConfiguration, planar);
    *by_plane = planar == 1 && samples > 1;
    return rows == shape.rows && columns == shape.columns && samples == shape.samples_per_pixel &&
           allocated == shape.bits_allocated;
}

/* To little endian, by pixel. */
template <typename T>
void copy_samples(std::uint8_t *to, const T *from, const dcb_pixel_shape &shape, bool by_plane)
{
    const std::size_t pixels = (std::size_t)shape.rows * shape.columns;
    const std::size_t samples = shape.samples_per_pixel;
    for (std::size_t i = 0; i < pixels; i++)
        for (std::size_t k = 0; k < samples; k++) {
            const T value = from[by_plane ? k * pixels + i : i * samples + k];
            for (std::size_t b = 0; b < sizeof(T); b++)
                *to++ = (std::uint8_t)(value >> (8 * b));
        }
}

bool take_samples(void *to, std::size_t nbytes, DcmDataset &dataset, const dcb_pixel_shape &shape,
                  bool by_plane)
{
    const std::size_t n = (std::size_t)shape.rows * shape.columns * shape.samples_per_pixel;
    const Uint8 *bytes = nullptr;
    const Uint16 *words = nullptr;
    unsigned long count = 0;
    std::uint8_t *out = static_cast<std::uint8_t *>(to);
    if (n * (shape.bits_allocated / 8u) != nbytes)
        return false;
    if (shape.bits_allocated == 8) {
        if (dataset.findAndGetUint8Array(DCM_PixelData, bytes, &count).bad() || count < n)
            return false;
        copy_samples(out, bytes, shape, by_plane);
    } else {
        if (dataset.findAndGetUint16Array(DCM_PixelData, words, &count).bad() || count < n)
            return false;
        copy_samples(out, words, shape, by_plane);
    }
    return true;
}

bool decode(void *samples, std::size_t nbytes, const dcb_pixel_shape &shape, const char *uid,
            const void *codestream, std::size_t codestream_nbytes, scp_error *error)
{
    DcmDataset dataset;
    bool by_plane = false;
    begin();
    if ((shape.bits_allocated != 8 && shape.bits_allocated != 16) ||
        codestream_nbytes > 0xFFFFFFFEu)
        return scp_fail(error, "samples of %u bits allocated cannot be decoded",
                        shape.bits_allocated) == 0;
    OFCondition result = describe(dataset, shape);
    if (result.good())
        result = insert_codestream(dataset, codestream, codestream_nbytes, DcmXfer(uid).getXfer());
    if (result.good())
        result = dataset.chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
    if (result.bad())
        return scp_fail(error, "its pixels cannot be decoded: %s", result.text()) == 0;
    if (!has_shape(&by_plane, dataset, shape) ||
        !take_samples(samples, nbytes, dataset, shape, by_plane))
        return scp_fail(error, "its decoded pixels are not what the data set describes") == 0;
    return true;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

OFCondition insert_samples(DcmDataset &dataset, const void *samples, std::size_t nbytes,
                           const dcb_pixel_shape &shape)
{
    const std::uint8_t *bytes = static_cast<const std::uint8_t *>(samples);
    if (shape.bits_allocated == 8)
        return dataset.putAndInsertUint8Array(DCM_PixelData, bytes, nbytes);
    std::vector<Uint16> words(nbytes / 2);
    for (std::size_t i = 0; i < words.size(); i++)
        words[i] = (Uint16)(bytes[2 * i] | bytes[2 * i + 1] << 8);
    return dataset.putAndInsertUint16Array(DCM_PixelData, words.data(), words.size());
}

/* The fragments of the one frame, joined. */
bool take_codestream(std::uint8_t **out, std::size_t *out_nbytes, DcmDataset &dataset,
                     E_TransferSyntax syntax, const DcmRepresentationParameter *parameter)
{
    DcmElement *element = nullptr;
    DcmPixelSequence *sequence = nullptr;
    std::vector<std::uint8_t> joined;
    if (dataset.findAndGetElement(DCM_PixelData, element).bad())
        return false;
    DcmPixelData *pixels = dynamic_cast<DcmPixelData *>(element);
    if (pixels == nullptr ||
        pixels->getEncapsulatedRepresentation(syntax, parameter, sequence).bad())
        return false;
    for (unsigned long i = 1; i < sequence->card(); i++) {
        DcmPixelItem *item = nullptr;
        Uint8 *bytes = nullptr;
        if (sequence->getItem(item, i).bad() || item->getUint8Array(bytes).bad())
            return false;
        joined.insert(joined.end(), bytes, bytes + item->getLength());
    }
    std::uint8_t *own = static_cast<std::uint8_t *>(std::malloc(joined.size() + 1));
    if (own == nullptr || joined.empty()) {
        std::free(own);
        return false;
    }
    std::memcpy(own, joined.data(), joined.size());
    *out = own;
    *out_nbytes = joined.size();
    return true;
}

bool encode(std::uint8_t **codestream, std::size_t *codestream_nbytes, const void *samples,
            std::size_t nbytes, const dcb_pixel_shape &shape, const char *uid, scp_error *error)
{
    const DcmRLERepresentationParameter rle;
    const DJ_RPLossless jpeg(1, 0);
    const DJLSRepresentationParameter jpeg_ls(0, OFTrue);
    const DcmRepresentationParameter *parameter = &rle;
    const E_TransferSyntax syntax = DcmXfer(uid).getXfer();
    DcmDataset dataset;
    begin();
    if (syntax == EXS_JPEGProcess14SV1)
        parameter = &jpeg;
    else if (syntax == EXS_JPEGLSLossless)
        parameter = &jpeg_ls;
    if ((shape.bits_allocated != 8 && shape.bits_allocated != 16) ||
        (shape.samples_per_pixel != 1 && shape.samples_per_pixel != 3))
        return scp_fail(error, "%u samples of %u bits allocated cannot be compressed in %s",
                        shape.samples_per_pixel, shape.bits_allocated,
                        DcmXfer(syntax).getXferName()) == 0;
    OFCondition result = describe(dataset, shape);
    if (result.good())
        result = insert_samples(dataset, samples, nbytes, shape);
    if (result.good())
        result = dataset.chooseRepresentation(syntax, parameter);
    if (result.bad())
        return scp_fail(error, "its pixels cannot be compressed in %s: %s",
                        DcmXfer(syntax).getXferName(), result.text()) == 0;
    if (!take_codestream(codestream, codestream_nbytes, dataset, syntax, parameter))
        return scp_fail(error, "no compressed pixels came of it") == 0;
    return true;
}

} // namespace

extern "C" bool pixel_codec_dcmtk_decode(void *samples, size_t nbytes, const dcb_pixel_shape *shape,
                                         const char *uid, const void *codestream,
                                         size_t codestream_nbytes, scp_error *error)
{
    try {
        return decode(samples, nbytes, *shape, uid, codestream, codestream_nbytes, error);
    } catch (...) {
        return scp_fail(error, "its pixels cannot be decoded") == 0;
    }
}

extern "C" bool pixel_codec_dcmtk_encode(uint8_t **codestream, size_t *codestream_nbytes,
                                         const void *samples, size_t nbytes,
                                         const dcb_pixel_shape *shape, const char *uid,
                                         scp_error *error)
{
    *codestream = nullptr;
    *codestream_nbytes = 0;
    try {
        return encode(codestream, codestream_nbytes, samples, nbytes, *shape, uid, error);
    } catch (...) {
        return scp_fail(error, "its pixels cannot be compressed") == 0;
    }
}
