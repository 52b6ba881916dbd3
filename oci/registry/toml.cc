// SPDX-License-Identifier: Apache-2.0
// TOML as JSON. No exception leaves this file.
#include "oci/registry/toml.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <cerrno>
#include <cstdio>
#include <new>
#include <string_view>

namespace
{

json_t *convert(const toml::node &node);

json_t *convert_table(const toml::table &table)
{
    json_t *json = json_object();

    for (auto &&[key, value] : table)
        (void)json_object_setn_new_nocheck(
            json, key.str().data(), key.str().size(), convert(value));
    return json;
}

json_t *convert_array(const toml::array &array)
{
    json_t *json = json_array();

    for (auto &&value : array)
        (void)json_array_append_new(json, convert(value));
    return json;
}

json_t *convert(const toml::node &node)
{
    if (auto table = node.as_table())
        return convert_table(*table);
    if (auto array = node.as_array())
        return convert_array(*array);
    if (auto text = node.as_string())
        return json_stringn_nocheck(text->get().data(), text->get().size());
    if (auto number = node.as_integer())
        return json_integer(number->get());
    if (auto real = node.as_floating_point())
        return json_real(real->get());
    if (auto boolean = node.as_boolean())
        return json_boolean(boolean->get());
    return json_null();
}

} // namespace

extern "C" int toml_to_json(
    const char *text, size_t size, json_t **ret_json, char error[TOML_ERROR_MAX])
{
    try {
        toml::parse_result result = toml::parse(std::string_view(text, size));

        if (!result) {
            auto why = result.error().description();

            (void)snprintf(error, TOML_ERROR_MAX, "line %u: %.*s",
                static_cast<unsigned>(result.error().source().begin.line),
                static_cast<int>(why.size()), why.data());
            return -EBADMSG;
        }
        *ret_json = convert_table(result.table());
        return *ret_json ? 0 : -ENOMEM;
    } catch (...) { // only memory can run out
        return -ENOMEM;
    }
}
