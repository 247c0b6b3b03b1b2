/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_openjph.cpp - decodes and encodes with OpenJPH (0.9 of Debian 12 to 0.21 of Debian 13).
 *
 * Only plain codestreams whose every packet dcb__codestream_check has walked come here: OpenJPH
 * ignores markers that change coding (it warns and goes on), and 0.9 writes past buffers where
 * block lengths lie. No exception and no output leaves this file. OpenJPH objects are good for one
 * image in these versions, so nothing can be kept between calls (see tests/bench/bench_codec.c).
 *
 * Threads: any. OpenJPH's message streams and function tables are global: prepare() sets them up
 * once, before any other use.
 */
#include "codec_backend.h"

#if DCB_HAVE_OPENJPH

#include <openjph/ojph_arch.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_message.h>
#include <openjph/ojph_params.h>
#include <openjph/ojph_version.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>

#include "dcb_error.h"

namespace
{

/* What was measured (tests/unit/test_codec.c) with the versions that Debian has. */
#if OPENJPH_VERSION_MAJOR == 0 && OPENJPH_VERSION_MINOR < 21
/* Words of 32 bits. The encoder aborts from 28 bits on and loses bits at 27; the decoder refuses
   sound blocks from 25 bit planes on; and it loses its place at packets of empty resolutions. */
constexpr unsigned max_encoded_precision = 26;
constexpr unsigned max_decoded_bit_planes = 24;
constexpr bool decodes_empty_resolutions = false;
#else
constexpr unsigned max_encoded_precision = 32;
constexpr unsigned max_decoded_bit_planes = 38;
constexpr bool decodes_empty_resolutions = true;
#endif

constexpr std::size_t ssiz_offset = 42; /* of the first component in the codestream, then every 3 */

/* What is added to signed samples to make them unsigned. OpenJPH sees unsigned samples only: 0.21
   decides by uninitialised memory whether to bend negative ones (nlt_type3 in ojph_tile.cpp,
   mended in 0.24.2). The coefficients are the same either way. */
std::uint32_t offset_of(unsigned precision, bool is_signed)
{
    return is_signed ? 1u << (precision - 1) : 0;
}

void add_offset(std::int32_t *values, std::size_t count, std::uint32_t offset)
{
    for (std::size_t i = 0; offset != 0 && i < count; i++)
        values[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(values[i]) + offset);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* What OpenJPH said last in this thread. */
struct message {
    char text[200];
    std::size_t nbytes;
};
thread_local message last_message;

ssize_t capture(void *, const char *bytes, std::size_t nbytes)
{
    message &m = last_message;
    std::size_t room = sizeof m.text - 1 - m.nbytes;
    std::size_t taken = nbytes < room ? nbytes : room;
    std::memcpy(m.text + m.nbytes, bytes, taken);
    m.nbytes += taken;
    m.text[m.nbytes] = 0;
    return static_cast<ssize_t>(nbytes);
}

ssize_t discard(void *, const char *, std::size_t nbytes)
{
    return static_cast<ssize_t>(nbytes);
}

std::FILE *open_sink(ssize_t (*write)(void *, const char *, std::size_t))
{
    cookie_io_functions_t functions = {nullptr, write, nullptr, nullptr};
    std::FILE *file = fopencookie(nullptr, "w", functions);
    if (file == nullptr)
        throw std::bad_alloc();
    std::setvbuf(file, nullptr, _IONBF, 0); /* so that it is written in the thread that speaks */
    return file;
}

dcb_status fail(dcb_error *error, dcb_status status)
{
    message &m = last_message;
    m.text[std::strcspn(m.text, "\r\n")] = 0;
    /* "ojph error 0x... at file.cpp:1: what" */
    const char *what = std::strstr(m.text, ": ");
    return dcb__fail(error, status, DCB_NO_OFFSET, "OpenJPH: %s",
                     what != nullptr ? what + 2 : "the codestream cannot be decoded");
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* The codestream, with the sign bits of its SIZ marker segment cleared. */
class unsigned_infile : public ojph::mem_infile
{
  public:
    explicit unsigned_infile(const dcb__decode_job *job)
        : end_(ssiz_offset + 3 * static_cast<std::size_t>(job->header->components))
    {
        open(job->bytes, job->nbytes);
    }

    std::size_t read(void *bytes, std::size_t nbytes) override
    {
        std::size_t start = static_cast<std::size_t>(tell());
        std::size_t taken = ojph::mem_infile::read(bytes, nbytes);
        if (start < end_)
            clear_signs(static_cast<std::uint8_t *>(bytes), start, taken);
        return taken;
    }

  private:
    void clear_signs(std::uint8_t *bytes, std::size_t start, std::size_t nbytes)
    {
        for (std::size_t at = ssiz_offset; at < end_; at += 3) {
            if (at >= start && at - start < nbytes)
                bytes[at - start] &= 0x7F;
        }
    }

    std::size_t end_;
};

dcb_status pull_rows(ojph::codestream &codestream, const dcb__decode_job *job, dcb_error *error)
{
    const dcb__codestream *header = job->header;
    const std::uint32_t offset = offset_of(header->precision, header->is_signed);
    for (std::uint32_t row = 0; row < job->rows; row++) {
        for (unsigned c = 0; c < header->components; c++) {
            ojph::ui32 component = 0;
            ojph::line_buf *line = codestream.pull(component);
            if (line == nullptr || component != c || line->size < job->columns)
                return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                                 "OpenJPH: row %u of component %u is missing", row, c);
            add_offset(line->i32, job->columns, 0 - offset);
            if (!dcb__put_row(job, row, c, line->i32))
                return dcb__fail(error, DCB_ERR_CODESTREAM, DCB_NO_OFFSET,
                                 "a decoded sample does not fit into %u bits", header->precision);
        }
    }
    return DCB_OK;
}

dcb_status decode(const dcb__decode_job *job, dcb_error *error)
{
    unsigned_infile file(job);
    ojph::codestream codestream;

    codestream.read_headers(&file);
    codestream.set_planar(false);
    codestream.restrict_input_resolution(job->reduce, job->reduce);
    codestream.create();
    ojph::param_siz siz = codestream.access_siz();
    for (unsigned c = 0; c < job->header->components; c++) {
        if (siz.get_recon_width(c) != job->columns || siz.get_recon_height(c) != job->rows)
            return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                             "OpenJPH: component %u comes out as %u x %u", c,
                             siz.get_recon_width(c), siz.get_recon_height(c));
    }
    dcb_status status = pull_rows(codestream, job, error);
    codestream.close();
    return status;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

/* Writes into a buffer that is handed over as it is. */
class growing_file : public ojph::outfile_base
{
  public:
    ~growing_file()
    {
        std::free(bytes_);
    }

    std::size_t write(const void *bytes, std::size_t nbytes) override
    {
        if (nbytes > capacity_ - nbytes_)
            grow(nbytes);
        std::memcpy(bytes_ + nbytes_, bytes, nbytes);
        nbytes_ += nbytes;
        return nbytes;
    }

    ojph::si64 tell() override
    {
        return static_cast<ojph::si64>(nbytes_);
    }

    void set_signs(unsigned components)
    {
        for (unsigned c = 0; c < components; c++)
            bytes_[ssiz_offset + 3 * c] |= 0x80;
    }

    std::uint8_t *hand_over(std::size_t *nbytes)
    {
        std::uint8_t *bytes = bytes_;
        *nbytes = nbytes_;
        bytes_ = nullptr;
        nbytes_ = capacity_ = 0;
        return bytes;
    }

  private:
    void grow(std::size_t nbytes)
    {
        std::size_t capacity = capacity_ + capacity_ / 2 + nbytes + 4096;
        void *bytes = std::realloc(bytes_, capacity);
        if (bytes == nullptr)
            throw std::bad_alloc();
        bytes_ = static_cast<std::uint8_t *>(bytes);
        capacity_ = capacity;
    }

    std::uint8_t *bytes_ = nullptr;
    std::size_t nbytes_ = 0, capacity_ = 0;
};

void set_up(ojph::codestream &codestream, const dcb__encode_job *job)
{
    ojph::param_siz siz = codestream.access_siz();
    siz.set_image_extent(ojph::point(job->columns, job->rows));
    siz.set_image_offset(ojph::point(0, 0));
    siz.set_tile_size(ojph::size(job->columns, job->rows));
    siz.set_tile_offset(ojph::point(0, 0));
    siz.set_num_components(job->components);
    for (unsigned c = 0; c < job->components; c++)
        siz.set_component(c, ojph::point(1, 1), job->precision, false);

    ojph::param_cod cod = codestream.access_cod();
    cod.set_num_decomposition(job->levels);
    cod.set_block_dims(64, 64);
    cod.set_progression_order("RPCL");
    cod.set_color_transform(false);
    cod.set_reversible(true);
    codestream.set_planar(false);
}

dcb_status encode(std::uint8_t **bytes, std::size_t *nbytes, const dcb__encode_job *job,
                  dcb_error *error)
{
    growing_file file;
    ojph::codestream codestream;
    ojph::ui32 component = 0;
    const std::uint32_t offset = offset_of(job->precision, job->is_signed);

    set_up(codestream, job);
    codestream.write_headers(&file);
    ojph::line_buf *line = codestream.exchange(nullptr, component);
    for (std::uint32_t row = 0; row < job->rows; row++) {
        for (unsigned c = 0; c < job->components; c++) {
            if (line == nullptr || component != c)
                return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                                 "OpenJPH: cannot take row %u of component %u", row, c);
            if (!dcb__get_row(line->i32, job, row, c))
                return dcb__fail(error, DCB_ERR_ARGUMENT, DCB_NO_OFFSET,
                                 "a sample in row %u does not fit into %u bits", row,
                                 job->precision);
            add_offset(line->i32, job->columns, offset);
            line = codestream.exchange(line, component);
        }
    }
    codestream.flush();
    codestream.close();
    if (job->is_signed)
        file.set_signs(job->components);
    *bytes = file.hand_over(nbytes);
    return DCB_OK;
}

/* ---- Set-up and the boundary ----------------------------------------------------------------- */

/* OpenJPH fills function tables and block coder tables at first use, without a lock: use all of
   them once while nobody else can. */
void warm_up()
{
    const std::uint8_t samples[64] = {0, 1, 2, 3};
    const dcb__encode_job job = {samples, 8, 8, 1, 8, false, 1};
    std::uint8_t *bytes = nullptr;
    std::size_t nbytes = 0;
    if (encode(&bytes, &nbytes, &job, nullptr) != DCB_OK)
        return;
    ojph::mem_infile file;
    ojph::codestream codestream;
    file.open(bytes, nbytes);
    codestream.read_headers(&file);
    codestream.create();
    ojph::ui32 component = 0;
    codestream.pull(component);
    codestream.close();
    std::free(bytes);
}

/* Message objects cannot be replaced in 0.9 (configure_error copies nothing), streams can. They
   live as long as the process. */
void prepare()
{
    static std::once_flag once;
    std::call_once(once, [] {
        std::FILE *sink = open_sink(discard);
        ojph::set_info_stream(sink);
        ojph::set_warning_stream(sink);
        ojph::set_error_stream(open_sink(capture));
        warm_up();
    });
    last_message.nbytes = 0;
    last_message.text[0] = 0;
}

/* Runs action; whatever it throws becomes a status. */
template <typename Action>
dcb_status guarded(Action action, dcb_status status, dcb_error *error) noexcept
{
    try {
        prepare();
        return action();
    } catch (const std::bad_alloc &) {
        return dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "out of memory for OpenJPH");
    } catch (const char *what) { /* OpenJPH's allocator */
        return dcb__fail(error, DCB_ERR_NO_MEMORY, DCB_NO_OFFSET, "OpenJPH: %s", what);
    } catch (...) {
        return fail(error, status);
    }
}

} // namespace

extern "C" dcb_status dcb__openjph_decode(const dcb__decode_job *job, dcb_error *error)
{
    const dcb__codestream *header = job->header;
    /* Irreversible ones meet the uninitialised memory in 0.21 whatever their sign. */
    if (!header->plain || !header->reversible)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "OpenJPH is used for plain reversible codestreams only");
    if (header->max_bit_planes > max_decoded_bit_planes ||
        (header->has_empty_resolution && !decodes_empty_resolutions))
        return dcb__fail(
            error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
            "OpenJPH %d.%d cannot decode %u x %u pixels with %u levels and %u bit planes",
            OPENJPH_VERSION_MAJOR, OPENJPH_VERSION_MINOR, header->columns, header->rows,
            header->levels, header->max_bit_planes);
    return guarded([=] { return decode(job, error); }, DCB_ERR_CODESTREAM, error);
}

extern "C" dcb_status dcb__openjph_encode(uint8_t **bytes, size_t *nbytes,
                                          const dcb__encode_job *job, dcb_error *error)
{
    if (job->precision > max_encoded_precision)
        return dcb__fail(error, DCB_ERR_UNSUPPORTED, DCB_NO_OFFSET,
                         "OpenJPH %d.%d encodes at most %u bits a sample, not %u",
                         OPENJPH_VERSION_MAJOR, OPENJPH_VERSION_MINOR, max_encoded_precision,
                         job->precision);
    return guarded([=] { return encode(bytes, nbytes, job, error); }, DCB_ERR_UNSUPPORTED, error);
}

#endif
