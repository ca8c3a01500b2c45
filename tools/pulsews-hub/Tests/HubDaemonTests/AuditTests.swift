// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc
import Synchronization
import Testing

@testable import HubDaemon

@Suite struct AuditTests {
  private func folder() -> String {
    var name = Array("/tmp/pulsews-audit-XXXXXX".utf8CString)
    return mkdtemp(&name).map { String(cString: $0) } ?? "/there/is/no/such"
  }

  private func lines(_ path: String) -> [String] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&piece, 1, piece.count, file)
    return String(decoding: piece.prefix(count), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  @Test func linesAreAppendedAndFilesRotated() {
    let path = folder() + "/audit"
    var audit = Audit(AuditConfig(file: path, maxSize: 100, keep: 2))
    for number in 0..<10 { #expect(audit.write("\(number)" + String(repeating: "x", count: 39)) == nil) }
    // Two of 41 bytes fit.
    #expect(lines(path).map { $0.prefix(1) } == ["8", "9", ""])
    #expect(lines(path + ".1").map { $0.prefix(1) } == ["6", "7", ""])
    #expect(lines(path + ".2").map { $0.prefix(1) } == ["4", "5", ""])
    #expect(lines(path + ".3").isEmpty)
    audit.close()
    var next = Audit(AuditConfig(file: path, maxSize: 1000, keep: 2))
    #expect(next.write("more") == nil)
    #expect(lines(path).count == 4)
    next.close()
  }

  @Test func aFullDiskIsToldOnce() {
    var audit = Audit(AuditConfig(file: "/dev/full"))
    guard case .failed(let problem)? = audit.write("a") else { return #expect(Bool(false)) }
    #expect(problem.contains("/dev/full"))
    #expect(audit.write("b") == nil)
    #expect(audit.lost == 2)
    audit.close()
  }

  @Test func aFolderThatIsMissingAndComes() {
    let folder = folder()
    var audit = Audit(AuditConfig(file: folder + "/later/audit"))
    #expect(audit.open() != nil)
    guard case .failed? = audit.write("a") else { return #expect(Bool(false)) }
    mkdir(folder + "/later", 0o700)
    #expect(audit.write("b") == .worksAgain(lost: 1))
    #expect(lines(folder + "/later/audit") == ["b", ""])
    audit.close()
  }

  /// A pipe that nobody reads stands for a disk that is slow.
  @Test func aSlowDiskHoldsNobodyUp() {
    let path = folder() + "/audit"
    mkfifo(path, 0o600)
    let reader = open(path, O_RDONLY | O_NONBLOCK)
    let news = Mutex<[Audit.News]>([])
    let log = AuditLog(mostBytes: 1000) { told in news.withLock { $0.append(told) } }
    var audit = Audit(AuditConfig(file: path))
    #expect(audit.open() == nil)
    _ = fcntl(audit.descriptor, F_SETFL, O_WRONLY)  // its writes wait
    #expect(log.use(audit) == nil)
    let filler = String(repeating: "x", count: 99)
    for _ in 0..<2000 { log.append { filler } }
    #expect(news.withLock { $0.first } == .failed("the audit file is written more slowly than calls come"))
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    var isEnded = false
    while !isEnded {
      while read(reader, &piece, piece.count) > 0 {}
      isEnded = log.end(within: 1_000_000)
    }
    let lost = news.withLock { $0.reduce(0) { if case .worksAgain(let lost) = $1 { $0 + lost } else { $0 } } }
    #expect(lost > 0 && lost < 2000)
    close(reader)
  }

  @Test func linesKeepTheirOrderAndAllAreWrittenAtTheEnd() {
    let path = folder() + "/audit"
    let log = AuditLog { _ in }
    #expect(log.end(within: 0))
    let other = AuditLog { Issue.record("\($0)") }
    #expect(other.use(Audit(AuditConfig(file: path))) == nil)
    for number in 0..<5000 { other.append { "\(number)" } }
    #expect(other.end(within: 20_000_000_000))
    #expect(lines(path) == (0..<5000).map { "\($0)" } + [""])
    #expect(other.reopen() == nil)
  }

  @Test func whereNothingCanBeWaitedForThatIsToldOnce() {
    let path = folder() + "/audit"
    let news = Mutex<[Audit.News]>([])
    let calls = Mutex(0)
    let third = daemon_event_descriptor()
    let log = AuditLog(
      wait: { _ in
        let count = calls.withLock { count in
          count += 1
          return count
        }
        if count == 3 { daemon_event_set(third) }
        errno = ENOMEM
        return false
      },
      tell: { told in news.withLock { $0.append(told) } })
    #expect(log.use(Audit(AuditConfig(file: path))) == nil)
    log.append { "a" }
    var polled = pollfd(fd: third, events: Int16(POLLIN), revents: 0)
    #expect(poll(&polled, 1, 20_000) == 1)
    log.append { "b" }
    #expect(log.end(within: 20_000_000_000))
    #expect(news.withLock { $0.count } == 1)
    guard case .failed(let problem)? = news.withLock({ $0.first }) else { return #expect(Bool(false)) }
    #expect(problem.contains("Cannot allocate memory"))
    #expect(lines(path) == ["a", "b", ""])
    close(third)
  }

  @Test func aLineIsMadeForAFileOnly() {
    let path = folder() + "/audit"
    let log = AuditLog { Issue.record("\($0)") }
    var made = 0
    func append() {
      log.append {
        made += 1
        return "line \(made)"
      }
    }
    append()
    #expect(log.use(Audit(AuditConfig(file: path))) == nil)
    append()
    #expect(log.use(nil) == nil)
    append()
    #expect(made == 1)
    #expect(log.use(Audit(AuditConfig(file: path))) == nil)
    append()
    #expect(log.end(within: 20_000_000_000))
    #expect(made == 2 && lines(path).contains("line 2"))
  }

  @Test func aLinkIsNotFollowed() {
    let folder = folder()
    symlink(folder + "/target", folder + "/link")
    var audit = Audit(AuditConfig(file: folder + "/link"))
    #expect(audit.open() != nil)
  }
}
