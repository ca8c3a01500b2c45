// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc
import Synchronization

/// Writes lines of an audit file in order, on a thread of its own: a slow disk holds up no answer. While it is slower than
/// calls come, 16 MiB of lines wait; those beyond are counted and told.
final class AuditLog: Sendable {
  private struct Waiting {
    var lines: [String] = []
    var bytes = 0
    var lost = 0
    var hasThread = false
    /// There is a file to write to.
    var isUsed = false
    var isEnding = false
  }

  private let mostBytes: Int
  private let waiting = Mutex(Waiting())
  /// Held while a line is written; never with the other one.
  private let file = Mutex<Audit?>(nil)
  private let wake = daemon_event_descriptor()
  private let done = daemon_event_descriptor()
  private let wait: @Sendable (Int32) -> Bool
  private let tell: @Sendable (Audit.News) -> Void
  /// Between two looks for lines where they can't be waited for (us).
  private static let pause: UInt32 = 100_000

  /// `wait`: until the descriptor can be read; false if that can't be waited for.
  init(
    mostBytes: Int = 16 << 20, wait: @escaping @Sendable (Int32) -> Bool = AuditLog.wait,
    tell: @escaping @Sendable (Audit.News) -> Void
  ) {
    self.mostBytes = mostBytes
    self.wait = wait
    self.tell = tell
  }

  private static func wait(for descriptor: Int32) -> Bool {
    if descriptor < 0 {
      errno = EBADF
      return false
    }
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, -1) >= 0 || errno == EINTR
  }

  /// The open file to write to from here on, or none. nil, or why there can't be a thread.
  func use(_ audit: Audit?) -> String? {
    file.withLock { file in
      file?.close()
      file = audit
    }
    let needsThread = waiting.withLock { waiting in
      defer { waiting.hasThread = waiting.hasThread || audit != nil }
      waiting.isUsed = audit != nil
      return audit != nil && !waiting.hasThread
    }
    return needsThread ? startThread("audit") { [self] in run() } : nil
  }

  /// Under which name it may be by now. nil, or why not.
  func reopen() -> String? { file.withLock { $0 == nil ? nil : $0?.open() } }

  /// `make` is called only if there is a file for the line.
  func append(_ make: () -> String) {
    if !waiting.withLock({ $0.isUsed }) { return }
    let line = make()
    let isFirstLost = waiting.withLock { waiting in
      let size = line.utf8.count
      if waiting.bytes + size > mostBytes {
        waiting.lost += 1
        return waiting.lost == 1
      }
      waiting.lines.append(line)
      waiting.bytes += size
      return false
    }
    if isFirstLost { tell(.failed("the audit file is written more slowly than calls come")) }
    daemon_event_set(wake)
  }

  private func run() {
    var isTold = false
    while true {
      if wait(wake) {
        isTold = false
      } else {
        if !isTold { tell(.failed("audit lines can't be waited for, and are written late: \(systemError())")) }
        isTold = true
        usleep(AuditLog.pause)
      }
      daemon_event_clear(wake)
      let (lines, lost, isEnding) = waiting.withLock { waiting in
        defer {
          waiting.lines = []
          waiting.lost = 0
        }
        return (waiting.lines, waiting.lost, waiting.isEnding)
      }
      for line in lines {
        let news = file.withLock { $0?.write(line) }
        waiting.withLock { $0.bytes -= line.utf8.count }
        if let news { tell(news) }
      }
      if lost > 0 { tell(.worksAgain(lost: lost)) }
      if isEnding, waiting.withLock({ $0.lines.isEmpty }) { return daemon_event_set(done) }
    }
  }

  /// Waits until all lines are written, at most so long (ns); whether they were.
  func end(within patience: Int64) -> Bool {
    let hasThread = waiting.withLock { waiting in
      waiting.isEnding = true
      return waiting.hasThread
    }
    if !hasThread { return true }
    daemon_event_set(wake)
    let deadline = daemon_monotonic_ns() + patience
    var polled = pollfd(fd: done, events: Int16(POLLIN), revents: 0)
    while true {
      let rest = max(0, deadline - daemon_monotonic_ns())
      let count = poll(&polled, 1, Int32(clamping: rest / 1_000_000))
      if count > 0 { return true }
      if count == 0 || errno != EINTR { return false }
    }
  }
}
