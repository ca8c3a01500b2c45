// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

/// The log of the process. Its level is looked at before a line is put together, so that no log costs next to nothing.
package enum Log {
  package struct Line: Sendable {
    package let level: LogLevel
    /// Nanoseconds since 1970.
    package let time: Int64
    package let text: String
  }

  private enum Sink { case none, stderr, file, queue }

  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    let condition = Condition()
    var sink = Sink.none
    var file: Int32 = -1
    var lines: [Line] = []
    var first = 0
    var capacity = 0
    var lost = 0
    var hasReadEnvironment = false
  }

  // A child has no log until it asks for one; the fork has set its level to `off`.
  private static let local = ForkLocal<Shared>()

  @inline(__always)
  package static func isOn(_ level: LogLevel) -> Bool { psys_log_level() >= level.rawValue }

  package static func write(_ level: LogLevel, _ text: String) {
    let time = Clock.realtime()
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    switch shared.sink {
    case .none:
      break
    case .stderr, .file:
      var line: [UInt8] = []
      RFC3339.append(time, to: &line, digits: 6)
      if shared.lost > 0 {
        line.append(contentsOf: (" pulsews WARNING \(shared.lost) lines of the log were lost\n" as Sentence).bytes)
        shared.lost = 0
        RFC3339.append(time, to: &line, digits: 6)
      }
      line.append(contentsOf: (" pulsews \(level.name) \(text)\n" as Sentence).bytes)
      var isWritten: Int32 = 0
      line.withUnsafeBytes { bytes in
        if let start = bytes.baseAddress {
          isWritten = psys_write_line(shared.sink == .file ? shared.file : 2, start, bytes.count)
        }
      }
      if isWritten == 0 { shared.lost += 1 }
    case .queue:
      while shared.lines.count - shared.first >= shared.capacity {
        shared.first += 1
        shared.lost += 1
      }
      shared.lines.append(Line(level: level, time: time, text: text))
      compact(shared)
      shared.condition.signal()
    }
  }

  private static func compact(_ shared: Shared) {
    if shared.first < 64 || shared.first * 2 < shared.lines.count { return }
    var kept: [Line] = []
    for index in shared.first..<shared.lines.count { kept.append(shared.lines[index]) }
    shared.lines = kept
    shared.first = 0
  }

  // MARK: Where it goes

  package static func toStandardError(_ level: LogLevel) { turn(.stderr, level, file: -1, capacity: 0) }

  package static func toQueue(_ level: LogLevel, capacity: Int) {
    turn(.queue, level, file: -1, capacity: capacity)
  }

  /// The sentence if the file can't be opened.
  package static func toFile(_ path: String, _ level: LogLevel) -> Failure? {
    let file = psys_open_log(path.cString)
    if file < 0 {
      let what: Sentence = "can't open the log file \(quoted(path))"
      let isOther = file == .min
      return Failure(
        .io, text: isOther ? sentence(what + ": it is not a regular file") : TransportError(errno: -file, what).text)
    }
    turn(.file, level, file: file, capacity: 0)
    return nil
  }

  private static func turn(_ sink: Sink, _ level: LogLevel, file: Int32, capacity: Int) {
    let shared = local.locked()
    let old = shared.file
    shared.sink = level == .off ? .none : sink
    shared.file = file
    shared.capacity = capacity
    if sink != .queue {
      shared.lines = []
      shared.first = 0
      shared.lost = 0
    }
    shared.hasReadEnvironment = true
    psys_log_set_level(level.rawValue)
    shared.condition.broadcast()
    shared.mutex.unlock()
    if old >= 0 { psys_close(old) }
  }

  /// PULSEWS_LOG turns it on, unless the program has decided before.
  package static func readEnvironment() {
    let shared = local.locked()
    let isFirst = !shared.hasReadEnvironment
    shared.hasReadEnvironment = true
    shared.mutex.unlock()
    guard isFirst, let value = psys_getenv("PULSEWS_LOG") else { return }
    let wanted = lowercased(String(cText: value))
    var number: Int32 = 1
    while let level = LogLevel(rawValue: number) {
      if equal(lowercased(PulseProcess.text(level.name)), wanted) { toStandardError(level) }
      number += 1
    }
  }

  /// The next line of the queue; nil at the time-out.
  package static func next(timeout: Int64) -> Result<Line, Failure> {
    let deadline = Clock.deadline(Clock.monotonic(), after: timeout)
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    while true {
      if shared.sink != .queue { return .failure(Failure(.closed, "the log does not go to the queue")) }
      if shared.lost > 0 {
        let line = Line(level: .warning, time: Clock.realtime(), text: sentence("\(shared.lost) lines of the log were lost"))
        shared.lost = 0
        return .success(line)
      }
      if shared.first < shared.lines.count {
        let line = shared.lines[shared.first]
        shared.first += 1
        if shared.first == shared.lines.count {
          shared.lines.removeAll(keepingCapacity: shared.first <= 64)
          shared.first = 0
        }
        return .success(line)
      }
      if timeout == 0 || Clock.monotonic() >= deadline { return .failure(Failure(.timeout, "no line")) }
      if deadline == .max {
        shared.condition.wait(shared.mutex)
      } else {
        _ = shared.condition.wait(shared.mutex, untilNs: deadline)
      }
    }
  }
}
