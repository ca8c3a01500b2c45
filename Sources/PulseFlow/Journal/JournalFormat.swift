// SPDX-License-Identifier: Apache-2.0
import CPulseKernels

/// How a journal lies in its file; all numbers are little-endian. docs/JOURNAL.md shows it to users.
package enum JournalFormat {
  /// The first page; the ring of records follows.
  package static let pageSize = 4096
  package static let version: UInt32 = 1
  /// "PULSEJNL"
  static let magic: UInt64 = 0x4C4E_4A45_534C_5550

  /// Where the words that change lie in the first page.
  enum Word {
    static let head = 64
    static let firstID = 96
    static let tail = 128
    static let lastID = 160
  }

  /// Where the fields of a record lie. The checksum is over all from `length` on, but for the state, and the payload.
  enum Field {
    static let checksum = 0
    static let length = 4
    static let id = 8
    static let position = 16
    static let acceptedAt = 24
    static let expiresAt = 32
    static let kind = 40
    static let flags = 44
    static let reserved = 48
    static let state = 56
    static let payload = 64
  }

  /// No two of them are alike in any byte: damage to one byte makes none of them from another.
  enum State {
    /// "QUEUED.."
    static let queued: UInt64 = 0x2E2E_4445_5545_5551
    /// "begun---"
    static let begun: UInt64 = 0x2D2D_2D6E_7567_6562
    /// "DONE===="
    static let done: UInt64 = 0x3D3D_3D3D_454E_4F44
  }

  /// The kind of a record that only takes up the rest of the ring.
  static let filler: UInt32 = 0

  /// What a message takes: its payload is filled up to a multiple of 8.
  static func size(_ length: Int) -> UInt64 { UInt64(truncatingIfNeeded: (length &+ Field.payload &+ 7) & ~7) }

  /// The ring of a journal with a file of so many bytes.
  package static func capacity(ofFile size: Int) -> Int { max(pageSize, (size &- pageSize) & ~(pageSize &- 1)) }

  /// The first page of a new journal. `salt`: a random number, which tells its records from those of any other.
  package static func firstPage(capacity: Int, salt: UInt64) -> [UInt8] {
    var page = [UInt8](repeating: 0, count: pageSize)
    page.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: magic.littleEndian, toByteOffset: 0, as: UInt64.self)
      bytes.storeBytes(of: version.littleEndian, toByteOffset: 8, as: UInt32.self)
      bytes.storeBytes(of: UInt32(pageSize).littleEndian, toByteOffset: 12, as: UInt32.self)
      bytes.storeBytes(of: UInt64(truncatingIfNeeded: capacity).littleEndian, toByteOffset: 16, as: UInt64.self)
      bytes.storeBytes(of: salt.littleEndian, toByteOffset: 24, as: UInt64.self)
      let checksum = bytes.baseAddress.map { pulse_crc32c(0, $0, 32) } ?? 0
      bytes.storeBytes(of: checksum.littleEndian, toByteOffset: 32, as: UInt32.self)
      for word in [Word.head, Word.firstID, Word.tail, Word.lastID] {
        let value: UInt64 = word == Word.firstID ? 1 : 0
        for half in [word, word + 16] {
          bytes.storeBytes(of: value.littleEndian, toByteOffset: half, as: UInt64.self)
          bytes.storeBytes(of: (~value).littleEndian, toByteOffset: half + 8, as: UInt64.self)
        }
      }
    }
    return page
  }

  package enum Inspection: Equatable {
    case journal(capacity: Int)
    /// Something else, which must not be written to.
    case foreign
    case otherVersion(UInt32)
    case damaged
  }

  /// What a file is that begins with these bytes.
  package static func inspect(_ page: UnsafeRawBufferPointer) -> Inspection {
    func number32(_ offset: Int) -> UInt32 {
      UInt32(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    guard page.count >= 36, let start = page.baseAddress,
      UInt64(littleEndian: page.loadUnaligned(fromByteOffset: 0, as: UInt64.self)) == magic
    else { return .foreign }
    if number32(8) != version { return .otherVersion(number32(8)) }
    if number32(32) != pulse_crc32c(0, start, 32) { return .damaged }
    let capacity = UInt64(littleEndian: page.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    let isPossible = capacity >= UInt64(pageSize) && capacity <= 1 << 48 && capacity % UInt64(pageSize) == 0
    return isPossible && number32(12) == UInt32(pageSize) ? .journal(capacity: Int(capacity)) : .damaged
  }
}

/// A number in the first page. It is there twice, each time with its complement, and one is written after the other:
/// whenever the process ends, and whichever byte is damaged, one of them is whole.
struct JournalWord {
  private let address: UnsafeMutableRawPointer
  private(set) var value: UInt64
  /// None of the two is whole.
  private(set) var isLost: Bool

  init(_ address: UnsafeMutableRawPointer) {
    self.address = address
    let first = JournalWord.read(address)
    let second = JournalWord.read(address + 16)
    isLost = first == nil && second == nil
    // The process may have ended between the two, and numbers only grow.
    value = max(first ?? 0, second ?? 0)
  }

  private static func read(_ address: UnsafeMutableRawPointer) -> UInt64? {
    let number = UInt64(littleEndian: address.load(as: UInt64.self))
    let complement = UInt64(littleEndian: address.load(fromByteOffset: 8, as: UInt64.self))
    // No position and no id ever becomes so high; one more than the highest has to be higher.
    return number == ~complement && number < 1 << 62 ? number : nil
  }

  @inline(__always)
  mutating func store(_ number: UInt64) { if number != value { write(number) } }

  mutating func write(_ number: UInt64) {
    pulse_publish64(address, number)
    pulse_publish64(address + 8, ~number)
    pulse_publish64(address + 16, number)
    pulse_publish64(address + 24, ~number)
    value = number
    isLost = false
  }
}
