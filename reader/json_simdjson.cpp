/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_simdjson.cpp - simdjson behind json.h: parses, then copies the tape once into our nodes.
 *
 * Invariant: strings of the tree point into the parser's string buffer, which lives as long as the
 * document. No exception leaves this file.
 */
#include "json.h"

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include <simdjson.h>

#include "arena.h"

extern "C" {
#include "dcb_error.h"
}

namespace dom = simdjson::dom;

namespace
{

/* A parser's buffers are ten times the text and are needed for a moment: faulting their pages in
   anew took a fifth of opening a file. So those of the last documents are kept, large ones not. */
constexpr size_t kept_parsers = 2;
constexpr size_t max_kept_capacity = size_t{1} << 20;

std::atomic<dom::parser *> kept[kept_parsers];

std::unique_ptr<dom::parser> take_parser()
{
    for (auto &place : kept)
        if (dom::parser *parser = place.exchange(nullptr))
            return std::unique_ptr<dom::parser>(parser);
    return std::make_unique<dom::parser>();
}

void keep_parser(std::unique_ptr<dom::parser> parser)
{
    if (parser->capacity() > max_kept_capacity)
        return;
    for (auto &place : kept) {
        dom::parser *empty = nullptr;
        if (place.compare_exchange_strong(empty, parser.get())) {
            parser.release();
            return;
        }
    }
}

/* Below this simdjson would allocate anew, with its own limit of depth. */
constexpr size_t min_capacity = 64;

simdjson::error_code make_room(dom::parser *parser, size_t nbytes, size_t max_depth)
{
    if (nbytes <= parser->capacity() && max_depth == parser->max_depth())
        return simdjson::SUCCESS;
    return parser->allocate(nbytes < min_capacity ? min_capacity : nbytes, max_depth);
}

} // namespace

struct dcb__json_document {
    std::unique_ptr<dom::parser> parser = take_parser();
    dcb__arena arena{};
    dcb__json root{};

    dcb__json_document()
    {
        dcb__arena_init(&arena);
    }
    ~dcb__json_document()
    {
        dcb__arena_free(&arena);
        keep_parser(std::move(parser));
    }
    dcb__json_document(const dcb__json_document &) = delete;
    dcb__json_document &operator=(const dcb__json_document &) = delete;
};

namespace
{

class converter
{
  public:
    explicit converter(dcb__arena *arena) : arena_(arena)
    {
    }

    /* Depth is bounded by the parser's own limit. */
    bool convert(dcb__json *to, dom::element from)
    {
        switch (from.type()) {
        case dom::element_type::ARRAY:
            return convert_array(to, from.get_array().value_unsafe());
        case dom::element_type::OBJECT:
            return convert_object(to, from.get_object().value_unsafe());
        case dom::element_type::STRING:
            set_text(to, from.get_string().value_unsafe());
            return true;
        case dom::element_type::INT64:
            to->type = DCB_JSON_INT;
            to->integer = from.get_int64().value_unsafe();
            return true;
        case dom::element_type::UINT64:
            to->type = DCB_JSON_UINT;
            to->natural = from.get_uint64().value_unsafe();
            return true;
        case dom::element_type::DOUBLE:
            to->type = DCB_JSON_DOUBLE;
            to->number = from.get_double().value_unsafe();
            return true;
        case dom::element_type::BOOL:
            to->type = DCB_JSON_BOOL;
            to->boolean = from.get_bool().value_unsafe();
            return true;
        default:
            to->type = DCB_JSON_NULL;
            return true;
        }
    }

  private:
    static constexpr size_t saturated = 0xFFFFFF; /* simdjson's counts stop here */

    static void set_text(dcb__json *to, std::string_view text)
    {
        to->type = DCB_JSON_STRING;
        to->count = static_cast<uint32_t>(text.size());
        to->text = text.data(); /* NUL-terminated in the parser's buffer */
    }

    dcb__json *allocate(size_t count)
    {
        return static_cast<dcb__json *>(
            dcb__arena_alloc(arena_, count * sizeof(dcb__json), alignof(dcb__json)));
    }

    bool convert_array(dcb__json *to, dom::array from)
    {
        size_t count = from.size();
        if (count >= saturated) {
            count = 0;
            for (auto it = from.begin(); it != from.end(); ++it)
                count++;
        }
        dcb__json *values = count == 0 ? nullptr : allocate(count);
        if (count > 0 && values == nullptr)
            return false;
        to->type = DCB_JSON_ARRAY;
        to->count = static_cast<uint32_t>(count);
        to->values = values;
        for (dom::element value : from) {
            *values = dcb__json{};
            if (!convert(values++, value))
                return false;
        }
        return true;
    }

    bool convert_object(dcb__json *to, dom::object from)
    {
        size_t count = from.size();
        if (count >= saturated) {
            count = 0;
            for (auto it = from.begin(); it != from.end(); ++it)
                count++;
        }
        dcb__json *values = count == 0 ? nullptr : allocate(2 * count);
        if (count > 0 && values == nullptr)
            return false;
        to->type = DCB_JSON_OBJECT;
        to->count = static_cast<uint32_t>(count);
        to->values = values;
        for (dom::key_value_pair field : from) {
            values[0] = values[1] = dcb__json{};
            set_text(&values[0], field.key);
            if (!convert(&values[1], field.value))
                return false;
            values += 2;
        }
        return true;
    }

    dcb__arena *arena_;
};

bool may_be_repaired(simdjson::error_code code)
{
    return code != simdjson::SUCCESS && code != simdjson::MEMALLOC &&
           code != simdjson::DEPTH_ERROR && code != simdjson::CAPACITY &&
           code != simdjson::UTF8_ERROR && code != simdjson::EMPTY;
}

dcb_status parse(dcb__json_document **out, const uint8_t *bytes, size_t nbytes, uint32_t max_depth,
                 const char *what, uint64_t offset, dcb_error *error)
{
    auto document = std::make_unique<dcb__json_document>();
    dom::parser *parser = document->parser.get();
    simdjson::error_code code = make_room(parser, nbytes, max_depth);
    dom::element root;
    if (code == simdjson::SUCCESS)
        code = parser->parse(bytes, nbytes, false).get(root);
    if (may_be_repaired(code)) {
        bool changed = false;
        size_t repaired_nbytes = 0;
        std::unique_ptr<uint8_t, decltype(&std::free)> repaired(
            dcb__json_repair(&changed, &repaired_nbytes, bytes, nbytes), &std::free);
        if (changed && repaired == nullptr)
            return dcb__fail_no_memory(error, nbytes);
        if (repaired != nullptr) {
            code = make_room(parser, repaired_nbytes, max_depth);
            if (code == simdjson::SUCCESS)
                code = parser->parse(repaired.get(), repaired_nbytes, false).get(root);
        }
    }
    if (code == simdjson::MEMALLOC)
        return dcb__fail_no_memory(error, nbytes);
    if (code == simdjson::DEPTH_ERROR)
        return dcb__fail(error, DCB_ERR_LIMIT, offset, "%s: nested deeper than the limit, %u", what,
                         static_cast<unsigned>(max_depth));
    if (code != simdjson::SUCCESS)
        return dcb__fail(error, DCB_ERR_META, offset, "%s is not JSON: %s", what,
                         simdjson::error_message(code));
    if (!converter(&document->arena).convert(&document->root, root))
        return dcb__fail_no_memory(error, nbytes);
    *out = document.release();
    return DCB_OK;
}

} // namespace

dcb_status dcb__json_parse(dcb__json_document **out, const uint8_t *bytes, size_t nbytes,
                           uint32_t max_depth, const char *what, uint64_t offset, dcb_error *error)
{
    *out = nullptr;
    try {
        return parse(out, bytes, nbytes, max_depth, what, offset, error);
    } catch (const std::bad_alloc &) {
        return dcb__fail_no_memory(error, nbytes);
    } catch (...) {
        return dcb__fail(error, DCB_ERR_META, offset, "%s: the JSON parser failed", what);
    }
}

void dcb__json_close(dcb__json_document *document)
{
    delete document;
}

const dcb__json *dcb__json_root(const dcb__json_document *document)
{
    return &document->root;
}
