// SPDX-License-Identifier: Apache-2.0
import CPulseWS

/// Feeds the library's lines to the daemon's log, from a thread of its own.
enum LibraryLog {
  private static let capacity = 10_000
  private static let longest = 4096

  static func begin(_ level: LogLevel) -> String? {
    pulsews_log_queue(level.number, capacity)
    return startThread("log") {
      var buffer = [CChar](repeating: 0, count: longest)
      while true {
        var level: Int32 = 0
        var time: Int64 = 0
        let length = pulsews_log_next(&buffer, buffer.count, &level, &time, -1)
        // It ends with the process alone.
        if length < 0 { return }
        let line = String(decoding: buffer.prefix(min(Int(length), longest - 1)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        LogSink.shared.write(LogLevel(number: level), line, [("from", "library")], time: time)
      }
    }
  }

  static func set(_ level: LogLevel) { pulsews_log_queue(level.number, capacity) }
}
