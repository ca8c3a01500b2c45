// SPDX-License-Identifier: Apache-2.0
/// Versions, the tables of the library, the metrics of all clients, and the log.
#ifndef PULSEWS_TABLES_HPP
#define PULSEWS_TABLES_HPP

#include <optional>

#include "values.hpp"

namespace pulsews {

/// The library's, which may be newer than the header's.
inline const char *version() noexcept { return pulsews_version(); }
inline std::uint32_t version_number() noexcept { return pulsews_version_number(); }

inline std::vector<Code> error_table() {
    return detail::rows_of<Code>([](std::size_t index, Code &row) {
        row = static_cast<Code>(pulsews_error_at(index));
        return static_cast<std::int32_t>(row) == 0 ? PULSEWS_EINVAL : PULSEWS_OK;
    });
}
inline const char *error_name(Code code) noexcept { return pulsews_error_name(static_cast<std::int32_t>(code)); }
inline const char *error_text(Code code) noexcept { return pulsews_error_text(static_cast<std::int32_t>(code)); }

inline std::vector<OptionRow> option_table() {
    return detail::rows_of<OptionRow>([](std::size_t index, OptionRow &row) {
        row.of = "client";
        return pulsews_option_at(index, &row.name, &row.type, &row.default_value, &row.range, &row.meaning);
    });
}
inline std::vector<TransitionRow> transition_table() {
    return detail::rows_of<TransitionRow>([](std::size_t index, TransitionRow &row) {
        std::int32_t from = 0, to = 0;
        const std::int32_t result = pulsews_transition_at(index, &from, &row.event, &to, &row.meaning);
        row.from = static_cast<State>(from);
        row.to = static_cast<State>(to);
        return result;
    });
}
inline std::vector<StatisticRow> statistic_table() {
    return detail::rows_of<StatisticRow>([](std::size_t index, StatisticRow &row) {
        return pulsews_statistic_at(index, &row.name, &row.type, &row.unit, &row.meaning);
    });
}
inline std::vector<NamedRow> preset_table() {
    return detail::rows_of<NamedRow>(
        [](std::size_t index, NamedRow &row) { return pulsews_preset_at(index, &row.name, &row.text, &row.lines); });
}
/// What the options of a hub mean is in docs/HUB_OPTIONS.md: `meaning` is NULL.
inline std::vector<OptionRow> hub_option_table() {
    return detail::rows_of<OptionRow>([](std::size_t index, OptionRow &row) {
        return pulsews_hub_option_at(index, &row.of, &row.name, &row.type, &row.default_value, &row.range);
    });
}
inline std::vector<StatisticRow> hub_statistic_table() {
    return detail::rows_of<StatisticRow>([](std::size_t index, StatisticRow &row) {
        return pulsews_hub_statistic_at(index, &row.name, &row.type, &row.unit, &row.meaning);
    });
}
inline std::vector<NamedRow> hub_map_table() {
    return detail::rows_of<NamedRow>(
        [](std::size_t index, NamedRow &row) { return pulsews_hub_map_at(index, &row.name, &row.text, &row.lines); });
}

/// The metrics of all clients of the process.
inline std::string prometheus() {
    return detail::text_of([](char *to, std::size_t size) { return pulsews_prometheus(nullptr, to, size); });
}

inline void log_to_stderr(LogLevel level) { detail::check(pulsews_log_stderr(static_cast<std::int32_t>(level))); }
inline void log_to_file(const Text &path, LogLevel level) {
    detail::Sentence why;
    detail::check(pulsews_log_file(path.c_str(), static_cast<std::int32_t>(level), why.text, why.size), why.text);
}
inline void log_to_queue(LogLevel level, std::size_t capacity) {
    detail::check(pulsews_log_queue(static_cast<std::int32_t>(level), capacity));
}
/// The next line of the queue, cut to `longest` bytes; nothing when the time is over. Throws Closed when the log does not
/// go to the queue.
inline std::optional<LogLine> next_log_line(Duration timeout = forever, std::size_t longest = 4096) {
    LogLine line{std::string(longest, '\0'), LogLevel::off, Time()};
    std::int32_t level = 0;
    std::int64_t nanoseconds = 0;
    const std::int64_t length = pulsews_log_next(line.text.data(), longest + 1, &level, &nanoseconds, timeout.count());
    if (length == PULSEWS_ETIMEOUT) {
        return std::nullopt;
    }
    line.text.resize(static_cast<std::size_t>(detail::check(length)));
    line.level = static_cast<LogLevel>(level);
    line.time = detail::time_of(nanoseconds);
    return line;
}

} // namespace pulsews
#endif
