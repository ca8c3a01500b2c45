// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc
import Logging
import Synchronization

/// Where the lines of the log go: one for the process, changed by a new configuration.
final class LogSink: Sendable {
  static let shared = LogSink()

  private struct State {
    var config = LogConfig()
    var redactor = Redactor()
    var descriptor: Int32 = 2
    /// Lines that could not be written since the last that was.
    var lost = 0
  }

  private let state = Mutex(State())

  var level: LogLevel { state.withLock { $0.config.level } }

  /// Goes to the end of the file anew, also if it is the same as before. nil, or why the file can't be used: then nothing changes.
  func configure(_ config: LogConfig, secrets: [String]) -> String? {
    var descriptor: Int32 = 2
    if let file = config.file {
      descriptor = daemon_open_append(file)
      if descriptor < 0 { return "the log file \(file) can't be opened: \(systemError())" }
    }
    state.withLock { state in
      if state.descriptor != 2 { close(state.descriptor) }
      state.descriptor = descriptor
      state.config = config
      state.redactor = Redactor(secrets)
    }
    return nil
  }

  /// Without the secrets of the configuration.
  func clean(_ text: String) -> String { state.withLock { $0.redactor.clean(text) } }

  /// The same file, which may have another name by now.
  func reopen() -> String? {
    let file = state.withLock { $0.config.file }
    guard let file else { return nil }
    let descriptor = daemon_open_append(file)
    if descriptor < 0 { return "the log file \(file) can't be opened: \(systemError())" }
    state.withLock { state in
      if state.descriptor != 2 { close(state.descriptor) }
      state.descriptor = descriptor
    }
    return nil
  }

  func write(_ level: LogLevel, _ message: String, _ fields: [(name: String, value: String)], time: Int64 = daemon_realtime_ns()) {
    state.withLock { state in
      if level.number > state.config.level.number { return }
      let line = LogLine(
        time: formatTime(time), level: level, message: state.redactor.clean(message),
        fields: fields.map { [redactor = state.redactor] field in (field.name, redactor.clean(field.value)) })
      var text = line.encode(asJSON: state.config.isJSON) + "\n"
      if state.lost > 0 {
        let note = LogLine(time: line.time, level: .warning, message: "lines of this log were lost", fields: [("count", "\(state.lost)")])
        text = note.encode(asJSON: state.config.isJSON) + "\n" + text
      }
      if writeAll(state.descriptor, text) { state.lost = 0 } else { state.lost += 1 }
    }
  }
}

/// Writes the whole text; false if that was not possible.
func writeAll(_ descriptor: Int32, _ text: String) -> Bool {
  var text = text
  return text.withUTF8 { bytes in
    var done = 0
    while done < bytes.count {
      let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return false }
      done += count
    }
    return true
  }
}

/// RFC 3339 in UTC, with milliseconds.
func formatTime(_ ns: Int64) -> String {
  let buffer = [CChar](unsafeUninitializedCapacity: 40) { buffer, count in
    buffer.initialize(repeating: 0)
    daemon_format_time(ns, buffer.baseAddress, buffer.count)
    count = buffer.count
  }
  return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// What the last call of the system that failed says.
func systemError(_ number: Int32 = daemon_errno()) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text(daemon_error_text(number, $0.baseAddress, $0.count)) }
}

/// The handler of swift-log.
struct DaemonLogHandler: LogHandler {
  let label: String
  var metadata: Logger.Metadata = [:]
  // The sink decides, for all loggers at once.
  var logLevel: Logger.Level {
    get { LogSink.shared.level.loggerLevel }
    set { _ = newValue }
  }

  init(label: String) { self.label = label }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    LogSink.shared.write(
      LogLevel(event.level), event.message.description, all.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) })
  }
}
