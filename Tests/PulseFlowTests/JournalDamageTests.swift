// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// Whatever happened to the file: what is recovered is what was written, in order and once; what is lost is told.
@Suite struct JournalDamageTests {
  /// A journal whose ring has wrapped: messages 21 to 34, of which 25 is done and 21 and 23 are begun.
  private static func sample() -> JournalImage {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...20 {
      journal.add(UInt64(id), length: 130)
      journal.done(UInt64(id))
    }
    journal.add(21, length: 500)
    for id in 22...34 { precondition(journal.add(UInt64(id))) }
    journal.done(25)
    journal.begun(21)
    journal.begun(23)
    return image
  }

  private static let alive: [UInt64] = [21, 22, 23, 24] + Array(26...34)

  /// `knowsLast`: it is told how many messages are lost.
  private func check(_ image: JournalImage, _ what: String, knowsLast: Bool = true) {
    let (journal, found) = image.open()
    let content = journal.content
    for message in content {
      #expect(message.payload == payload(message.id, message.id == 21 ? 500 : nil), "\(what): \(message.id)")
    }
    let ids = content.map(\.id)
    #expect(ids == ids.sorted() && Set(ids).count == ids.count, "\(what)")
    // One whose state can't be read is in doubt: sent again it might come twice.
    #expect(!content.contains { ($0.id == 21 || $0.id == 23) && !$0.isInDoubt }, "\(what)")
    #expect(content.filter(\.isInDoubt).count == Int(found.inDoubt.count), "\(what)")
    let missing = JournalDamageTests.alive.filter { !ids.contains($0) }
    #expect(missing.isEmpty || found.cutBytes > 0, "\(what): \(missing)")
    if let most = found.cutMessages { #expect(UInt64(missing.count) <= most, "\(what)") }
    #expect(!knowsLast || found.cutMessages != nil, "\(what)")
    #expect(Set(ids).isSubset(of: Set(JournalDamageTests.alive + [25])), "\(what)")
    #expect(journal.usedBytes >= 0 && journal.usedBytes <= image.capacity, "\(what)")
    // It works on, and what was cut does not come back.
    let next = max(journal.lastID, 34) + 1
    #expect(journal.add(next, length: 40), "\(what)")
    let (again, second) = image.open()
    #expect(second.cutBytes == 0, "\(what)")
    #expect(again.ids == ids.filter { id in !content.contains { $0.id == id && $0.isInDoubt } } + [next], "\(what)")
  }

  @Test func anyByteMayBeDamaged() {
    let sample = JournalDamageTests.sample()
    for offset in Array(0..<200) + Array(JournalFormat.pageSize..<sample.size) {
      for change: UInt8 in [0x01, 0xFF] {
        let image = JournalImage(copyOf: sample)
        image[offset] ^= change
        if case .journal(let capacity) = image.inspection {
          #expect(capacity == 4096)
          check(image, "byte \(offset) ^ \(change)")
        }
      }
    }
  }

  /// A number of the first page that is whole and can't be.
  @Test func numbersThatCannotBe() {
    typealias Word = JournalFormat.Word
    for word in [Word.head, Word.firstID, Word.tail, Word.lastID] {
      for value: UInt64 in [0, 1 << 62, .max &- 7, .max] where value > 0 || word == Word.firstID {
        let image = JournalImage(copyOf: JournalDamageTests.sample())
        for half in [word, word + 16] {
          image.memory.storeBytes(of: value.littleEndian, toByteOffset: half, as: UInt64.self)
          image.memory.storeBytes(of: (~value).littleEndian, toByteOffset: half + 8, as: UInt64.self)
        }
        check(image, "\(value) at \(word)", knowsLast: false)
      }
    }
  }

  /// The file ends at any byte, and was made longer again.
  @Test func theFileMayBeCutAnywhere() {
    let sample = JournalDamageTests.sample()
    for end in Array(36..<200) + Array(JournalFormat.pageSize..<sample.size) {
      let image = JournalImage(copyOf: sample)
      for offset in end..<image.size { image[offset] = 0 }
      guard case .journal = image.inspection else { continue }
      check(image, "cut at \(end)", knowsLast: end >= 176)
    }
  }

  /// The process may end after any store: all stores of a message's life, replayed one by one.
  @Test func theProcessMayEndAnywhere() {
    let sample = JournalDamageTests.sample()
    let after = JournalImage(copyOf: sample)
    let (journal, _) = after.open()
    let before = JournalImage(copyOf: after)
    #expect(journal.add(35, length: 33))
    // The record without the words that make it valid.
    for offset in JournalFormat.pageSize..<after.size { before[offset] = after[offset] }
    #expect(!before.open().0.ids.contains(35))
    // One word after the other, byte by byte.
    for offset in 64..<JournalFormat.pageSize {
      before[offset] = after[offset]
      let (next, found) = JournalImage(copyOf: before).open()
      #expect(found.cutBytes == 0 && (next.ids == [22, 24] + Array(26...34) || next.ids == [22, 24] + Array(26...35)))
    }
    #expect(before.open().0.ids.contains(35))
  }

  /// Damage to many bytes: nothing traps, and nothing is made up.
  @Test func noiseDoesNoHarm() {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let sample = JournalDamageTests.sample()
    for _ in 0..<3000 {
      let image = JournalImage(copyOf: sample)
      for _ in 0..<(1 + random(40)) { image[36 + random(image.size - 36)] = UInt8(random(256)) }
      let (journal, _) = image.open()
      for message in journal.content where message.id <= 34 {
        #expect(message.payload == payload(message.id, message.id == 21 ? 500 : nil))
      }
      journal.add(max(journal.lastID, 34) &+ 1)
    }
  }
}
