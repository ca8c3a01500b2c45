// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc

/// A file with a line of JSON for each signal. What can't be written is counted and told, and holds nothing up.
///
/// Belongs to one thread at a time.
struct Audit {
  private(set) var config: AuditConfig
  private(set) var descriptor: Int32 = -1
  private var size: Int64 = 0
  /// Half a line stands at the end: the next one begins anew.
  private var isTorn = false
  /// Lines that could not be written since the last one that was.
  private(set) var lost = 0

  /// A sentence for the log.
  enum News: Equatable {
    case failed(String)
    case worksAgain(lost: Int)
  }

  init(_ config: AuditConfig) { self.config = config }

  /// To the end of the file, also if it has another name by now. nil, or why not.
  mutating func open() -> String? {
    close()
    descriptor = daemon_open_append(config.file)
    if descriptor < 0 { return "the audit file \(config.file) can't be opened: \(systemError())" }
    size = max(0, daemon_file_size(descriptor))
    return nil
  }

  mutating func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Appends a line; what there is to tell, once at the first failure and once at its end.
  mutating func write(_ line: String) -> News? {
    if descriptor < 0, let problem = open() { return lose(problem) }
    if size > 0, size + Int64(line.utf8.count) >= config.maxSize, let problem = rotate() { return lose(problem) }
    if !writeAll(descriptor, (isTorn ? "\n" : "") + line + "\n") {
      isTorn = true
      return lose("the audit file \(config.file) can't be written: \(systemError())")
    }
    size += Int64(line.utf8.count) + 1
    isTorn = false
    defer { lost = 0 }
    return lost > 0 ? .worksAgain(lost: lost) : nil
  }

  private mutating func lose(_ problem: String) -> News? {
    lost += 1
    return lost == 1 ? .failed(problem) : nil
  }

  /// FILE becomes FILE.1, which becomes FILE.2, and so on; the last one goes.
  private mutating func rotate() -> String? {
    for number in stride(from: config.keep - 1, through: 1, by: -1) {
      let (from, to) = ("\(config.file).\(number)", "\(config.file).\(number + 1)")
      if rename(from, to) != 0, errno != ENOENT { return "\(from) can't be renamed: \(systemError())" }
    }
    if rename(config.file, "\(config.file).1") != 0 { return "the audit file \(config.file) can't be renamed: \(systemError())" }
    return open()
  }
}
