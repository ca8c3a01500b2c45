// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Testing

@testable import PulseTransport

@Suite struct JournalFileTests {
  /// A path that is free, in the folder for temporary files.
  private static func freshPath() -> String {
    let folder = psys_getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var number: UInt64 = 0
    withUnsafeMutableBytes(of: &number) { psys_random($0.baseAddress!, $0.count) }
    return "\(folder)/pulsews-journal-\(number)"
  }

  private static func text(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch let error as TransportError {
      return error.text
    } catch {
      return "another error"
    }
  }

  @Test func keepsWhatIsStored() throws {
    let path = JournalFileTests.freshPath()
    defer { psys_file_remove(path) }
    let file = try JournalFile.open(path)
    #expect(file.size == 0)
    try file.begin(with: [1, 2, 3])
    let memory = try file.map(8192)
    #expect(memory.load(fromByteOffset: 2, as: UInt8.self) == 3)
    memory.storeBytes(of: 0x1234_5678, toByteOffset: 8188, as: UInt32.self)
    file.close()
    file.close()
    let next = try JournalFile.open(path)
    #expect(next.size == 8192)
    #expect(try next.read(4) == [1, 2, 3, 0])
    // Longer than before: what was there stays.
    let longer = try next.map(16384)
    #expect(longer.load(fromByteOffset: 8188, as: UInt32.self) == 0x1234_5678)
    #expect(longer.load(fromByteOffset: 16380, as: UInt32.self) == 0)
  }

  @Test func hasOneUser() throws {
    let path = JournalFileTests.freshPath()
    defer { psys_file_remove(path) }
    let text = JournalFileTests.text
    do {
      let file = try JournalFile.open(path)
      for _ in 0..<3 {
        #expect(text { _ = try JournalFile.open(path) }.hasSuffix("is in use by another client of this process"))
      }
      withExtendedLifetime(file) {}
    }
    // Gone with its last reference.
    _ = try JournalFile.open(path)
    _ = try JournalFile.open(path)
  }

  @Test func whatIsNoFileIsTold() {
    let text = JournalFileTests.text
    #expect(text { _ = try JournalFile.open("/dev/null") } == "the journal \"/dev/null\" is not a regular file")
    #expect(text { _ = try JournalFile.open("/proc") }.hasSuffix("is not a regular file"))
    #expect(text { _ = try JournalFile.open("/nowhere/at/all") }.hasSuffix("no such file or directory"))
  }

  @Test func aNewFileGoesWhenItGetsNoRoom() throws {
    let path = JournalFileTests.freshPath()
    let file = try JournalFile.open(path)
    #expect(JournalFileTests.text { _ = try file.map(Int.max) }.contains("can't have 9223372036854775807 bytes: "))
    var found = psys_file()
    #expect(psys_file_look(path, &found) < 0)
  }
}
