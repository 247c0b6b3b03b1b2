/* SPDX-License-Identifier: Apache-2.0 */
/* pixel_decode_dcmtk.cc - pixel_decode.h over DCMTK's codecs, which are registered once. */
#include "pixel_decode.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcxfer.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>

#include <cstdlib>
#include <mutex>

namespace
{

/* Colours stay as they are: the data set that says what they are does too. */
void register_codecs()
{
    DcmRLEDecoderRegistration::registerCodecs();
    DJDecoderRegistration::registerCodecs(EDC_never);
    DJLSDecoderRegistration::registerCodecs();
}

struct shape {
    Uint16 rows = 0, columns = 0, samples = 0, allocated = 0, planar = 0;
    bool read(DcmDataset &dataset)
    {
        dataset.findAndGetUint16(DCM_PlanarConfiguration, planar);
        return dataset.findAndGetUint16(DCM_Rows, rows).good() &&
               dataset.findAndGetUint16(DCM_Columns, columns).good() &&
               dataset.findAndGetUint16(DCM_SamplesPerPixel, samples).good() &&
               dataset.findAndGetUint16(DCM_BitsAllocated, allocated).good();
    }
    bool same_kind(const shape &other) const
    {
        return rows == other.rows && columns == other.columns && samples == other.samples &&
               allocated == other.allocated;
    }
};

bool copy_samples(std::uint8_t *to, DcmDataset &dataset, const shape &s, std::size_t nbytes)
{
    const std::size_t size = s.allocated / 8u, pixels = (std::size_t)s.rows * s.columns;
    const std::size_t n = pixels * s.samples;
    const Uint8 *bytes = nullptr;
    const Uint16 *words = nullptr;
    unsigned long count = 0;
    if (size == 2) {
        if (dataset.findAndGetUint16Array(DCM_PixelData, words, &count).bad() || count < n)
            return false;
    } else if (dataset.findAndGetUint8Array(DCM_PixelData, bytes, &count).bad() || count < nbytes) {
        return false;
    }
    for (std::size_t i = 0; i < n; i++) {
        const std::size_t pixel = i / s.samples, k = i % s.samples;
        const std::size_t from = s.planar == 1 && s.samples > 1 ? k * pixels + pixel : i;
        if (size == 2) {
            to[2 * i] = (std::uint8_t)words[from];
            to[2 * i + 1] = (std::uint8_t)(words[from] >> 8);
        } else {
            to[i] = bytes[from];
        }
    }
    return true;
}

bool decode(uint8_t **samples, size_t *nbytes, const void *bytes, size_t bytes_nbytes,
            const char *syntax_uid, scp_error *error)
{
    static std::once_flag once;
    std::call_once(once, register_codecs);
    const DcmXfer syntax(syntax_uid);
    DcmInputBufferStream stream;
    stream.setBuffer(bytes, (offile_off_t)bytes_nbytes);
    stream.setEos();
    DcmDataset dataset;
    dataset.transferInit();
    OFCondition result = dataset.read(stream, syntax.getXfer(), EGL_noChange);
    dataset.transferEnd();
    shape before, after;
    if (result.good() && !before.read(dataset))
        result = EC_TagNotFound;
    if (result.good())
        result = dataset.chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
    if (result.bad())
        return scp_fail(error, "its pixels cannot be decoded: %s", result.text()) == 0;
    if (!after.read(dataset) || !before.same_kind(after) ||
        (after.allocated != 8 && after.allocated != 16))
        return scp_fail(error, "its decoded pixels are not what the data set describes") == 0;
    const std::size_t size =
        (std::size_t)after.rows * after.columns * after.samples * (after.allocated / 8u);
    uint8_t *own = static_cast<uint8_t *>(std::malloc(size > 0 ? size : 1));
    if (own == nullptr)
        return scp_fail(error, "out of memory") == 0;
    if (!copy_samples(own, dataset, after, size)) {
        std::free(own);
        return scp_fail(error, "its decoded pixels are too few") == 0;
    }
    *samples = own;
    *nbytes = size;
    return true;
}

} // namespace

extern "C" bool pixel_decode_dcmtk(uint8_t **samples, size_t *nbytes, const void *dataset,
                                   size_t dataset_nbytes, const char *syntax_uid, scp_error *error)
{
    *samples = nullptr;
    *nbytes = 0;
    try {
        return decode(samples, nbytes, dataset, dataset_nbytes, syntax_uid, error);
    } catch (...) {
        return scp_fail(error, "its pixels cannot be decoded") == 0;
    }
}
