// SPDX-License-Identifier: Apache-2.0
/// What calls take and give: durations, texts, bytes, and the rows of the tables.
#ifndef PULSEWS_VALUES_HPP
#define PULSEWS_VALUES_HPP

#include <chrono>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "error.hpp"

namespace pulsews {

/// Of calls: any std::chrono duration of whole nanoseconds or more converts to it.
using Duration = std::chrono::nanoseconds;
/// Waits without an end; so does every negative duration. Zero does not wait.
inline constexpr Duration forever{-1};
using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

/// A text argument. A literal or another `const char *` is passed on as it is; a std::string or std::string_view is
/// copied. One with a NUL in it is refused (InvalidArgument): C would cut it there. A Text without a value is C's NULL.
class Text {
  public:
    Text() = default;
    Text(std::nullptr_t) {}
    Text(const char *text) : pointer_(text) {}
    Text(std::string_view text) : copy_(text), is_copy_(true) {
        if (copy_.find('\0') != std::string::npos) {
            detail::fail(PULSEWS_EINVAL, "a text argument has a NUL in it");
        }
    }
    Text(const std::string &text) : Text(std::string_view(text)) {}

    [[nodiscard]] const char *c_str() const noexcept { return is_copy_ ? copy_.c_str() : pointer_; }

  private:
    const char *pointer_ = nullptr;
    std::string copy_;
    bool is_copy_ = false;
};

/// A view of bytes: made of a text, or of anything with data() and size() whose elements are one byte each, as
/// std::vector<std::uint8_t> and std::span<const std::byte>. It must live as long as the call, no longer.
class Bytes {
    template <class T> using Element = std::remove_pointer_t<decltype(std::declval<const T &>().data())>;
    template <class T> static constexpr bool is_text = std::is_convertible_v<const T &, std::string_view>;

  public:
    Bytes() = default;
    Bytes(const void *data, std::size_t size) : data_(data), size_(size) {}
    template <class T, std::enable_if_t<is_text<T>, int> = 0> Bytes(const T &text) {
        const std::string_view view = text;
        data_ = view.data();
        size_ = view.size();
    }
    template <class T, std::enable_if_t<!is_text<T> && sizeof(Element<T>) == 1, int> = 0>
    Bytes(const T &bytes) : data_(bytes.data()), size_(bytes.size()) {}

    [[nodiscard]] const void *data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::string_view view() const noexcept { return {static_cast<const char *>(data_), size_}; }

  private:
    const void *data_ = nullptr;
    std::size_t size_ = 0;
};

constexpr SendFlags operator|(SendFlags a, SendFlags b) noexcept {
    return static_cast<SendFlags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
/// Whether a set of traits has one.
constexpr bool operator&(BatchTraits set, BatchTraits one) noexcept {
    return (static_cast<std::uint32_t>(set) & static_cast<std::uint32_t>(one)) != 0;
}

/// Rows of the tables. The texts live as long as the process.
struct OptionRow {
    const char *of, *name, *type, *default_value, *range, *meaning; // of: "client", "hub", "route", "topic"
};
struct StatisticRow {
    const char *name, *type, *unit, *meaning;
};
struct TransitionRow {
    State from;
    const char *event;
    State to;
    const char *meaning;
};
struct NamedRow {
    const char *name, *text, *lines; // a preset or a map, what it is for, and its lines
};
struct LogLine {
    std::string text;
    LogLevel level;
    Time time;
};

namespace detail {

/// What a function writes into a buffer and measures: asked for the length first, and again if it has grown meanwhile.
template <class Call> std::string text_of(Call call) {
    std::string text;
    for (;;) {
        const auto length = static_cast<std::size_t>(check(call(text.data(), text.empty() ? 0 : text.size() + 1)));
        const bool is_whole = length <= text.size();
        text.resize(length);
        if (is_whole) {
            return text;
        }
    }
}

template <class Call> std::vector<double> numbers_of(Call call) {
    std::vector<double> values(static_cast<std::size_t>(check(call(nullptr, 0))));
    check(call(values.data(), values.size()));
    return values;
}

/// The rows of a table, until `call` has none for an index.
template <class Row, class Call> std::vector<Row> rows_of(Call call) {
    std::vector<Row> rows;
    for (Row row{}; call(rows.size(), row) == PULSEWS_OK; row = Row{}) {
        rows.push_back(row);
    }
    return rows;
}

inline Time time_of(std::int64_t nanoseconds) { return Time(Duration(nanoseconds)); }

/// Over an array of structs of C, as views of them.
template <class View, class Struct> class Cursor {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = View;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = View;

    explicit Cursor(const Struct *at = nullptr) : at_(at) {}
    View operator*() const { return View(*at_); }
    Cursor &operator++() {
        ++at_;
        return *this;
    }
    Cursor operator++(int) { return Cursor(at_++); }
    bool operator==(const Cursor &other) const { return at_ == other.at_; }
    bool operator!=(const Cursor &other) const { return at_ != other.at_; }

  private:
    const Struct *at_;
};

struct Free {
    void operator()(pulsews_config *handle) const noexcept { pulsews_config_free(handle); }
    void operator()(pulsews_loop *handle) const noexcept { pulsews_loop_free(handle); }
    void operator()(pulsews_client *handle) const noexcept { pulsews_client_free(handle); }
    void operator()(pulsews_batch *handle) const noexcept { pulsews_batch_free(handle); }
    void operator()(pulsews_hub *handle) const noexcept { pulsews_hub_free(handle); }
};

} // namespace detail
} // namespace pulsews
#endif
