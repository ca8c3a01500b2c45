// SPDX-License-Identifier: Apache-2.0
import Glibc
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

  @Test func aLinkIsNotFollowed() {
    let folder = folder()
    symlink(folder + "/target", folder + "/link")
    var audit = Audit(AuditConfig(file: folder + "/link"))
    #expect(audit.open() != nil)
  }
}
