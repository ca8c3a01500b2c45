// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import Testing

@testable import PulseFlow

@Suite struct JournalTests {
  @Test func theChecksumIsThatOfOthers() {
    // RFC 3720 §B.4
    let zeros = [UInt8](repeating: 0, count: 32)
    #expect(pulse_crc32c(0, zeros, 32) == 0x8A91_36AA)
    #expect(pulse_crc32c(0, [UInt8](repeating: 0xFF, count: 32), 32) == 0x62A8_AB43)
    #expect(pulse_crc32c(0, Array(UInt8(0)..<32), 32) == 0x46DD_794E)
    #expect(pulse_crc32c(0, Array("123456789".utf8), 9) == 0xE306_9283)
    let bytes = (0..<301).map { UInt8(truncatingIfNeeded: $0 &* 37) }
    for length in 0...bytes.count {
      let whole = pulse_crc32c_with(0, 7, bytes, length)
      #expect(pulse_crc32c_with(1, 7, bytes, length) == whole)
      let half = length / 3
      bytes.withUnsafeBytes {
        #expect(pulse_crc32c(pulse_crc32c(7, $0.baseAddress!, half), $0.baseAddress! + half, length - half) == whole)
      }
    }
  }

  @Test func keepsWhatIsQueuedInOrder() {
    let image = JournalImage()
    #expect(image.inspection == .journal(capacity: 4096))
    let (journal, first) = image.open()
    #expect(first.queued == 0 && first.inDoubt == 0 && first.cutBytes == 0 && journal.lastID == 0)
    for id in 1...9 { #expect(journal.add(UInt64(id), flags: 2, expiresAt: Int64(id) + 100)) }
    journal.done(3)
    journal.done(1)
    journal.begun(2)
    journal.begun(5)
    journal.queuedAgain(5)
    journal.done(99)
    journal.skip(12)
    let (next, found) = JournalImage(copyOf: image).open()
    #expect(found.queued == 6 && found.inDoubt == 1 && found.firstInDoubt == 2 && found.cutBytes == 0)
    #expect(next.ids == [2, 4, 5, 6, 7, 8, 9] && next.lastID == 12)
    let content = next.content
    #expect(content[0].isInDoubt && !content[1].isInDoubt)
    for message in content { #expect(message.payload == payload(message.id)) }
    let record = next.record(after: 8)!
    #expect(record.kind == 1 && record.flags == 2 && record.acceptedAt == 9 && record.expiresAt == 109)
  }

  /// What is in doubt is told again until a process goes on to accept messages.
  @Test func doubtEndsWithTheNextMessage() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...3 { journal.add(UInt64(id)) }
    journal.begun(1)
    journal.begun(2)
    for _ in 0..<3 {
      let (_, found) = image.open()
      #expect(found.inDoubt == 2 && found.firstInDoubt == 1 && found.queued == 1)
    }
    let (next, _) = image.open()
    #expect(next.add(4))
    #expect(next.ids == [3, 4])
    let (last, found) = image.open()
    #expect(found.inDoubt == 0 && last.ids == [3, 4])
  }

  @Test func doubtsAreToldInRows() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in [1, 2, 3, 5, 6, 7] { journal.add(UInt64(id)) }
    for id in [1, 2, 5, 7] { journal.begun(UInt64(id)) }
    let (_, found) = image.open()
    #expect(found.inDoubt == 4 && found.firstInDoubt == 1)
    #expect(found.inDoubtIDs.map { [$0.first, $0.last] } == [[1, 2], [5, 5], [7, 7]])
  }

  /// What is in doubt and has to be told is kept, whatever comes, until it was told.
  @Test func doubtIsKeptUntilItIsTold() {
    let image = JournalImage()
    let (journal, _) = image.open()
    journal.add(1)
    journal.begun(1)
    let (next, _) = image.open()
    next.keepsInDoubt = true
    #expect(next.add(2) && next.ids == [1, 2] && image.open().1.inDoubt == 1)
    next.doubtsAreTold()
    #expect(next.ids == [2] && image.open().1.inDoubt == 0)
  }

  @Test func whatFailedIsKeptUntilItIsTold() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...4 { journal.add(UInt64(id)) }
    journal.failed(1)
    #expect(journal.ids == [2, 3, 4])
    journal.keepsFailed = true
    journal.begun(2)
    journal.failed(2)
    journal.failed(4)
    journal.done(3)
    #expect(image.open().1.inDoubtIDs.map { [$0.first, $0.last] } == [[2, 2], [4, 4]])
    journal.failuresAreTold(upTo: 3)
    #expect(image.open().1.inDoubtIDs.map { [$0.first, $0.last] } == [[4, 4]])
    journal.failuresAreTold(upTo: 4)
    #expect(journal.usedBytes == 0 && image.open().1.inDoubt == 0)
  }

  /// What is to be sent is more than what is to be told.
  @Test func whatIsKeptToBeToldGivesWay() {
    let image = JournalImage()
    let (journal, _) = image.open()
    journal.keepsFailed = true
    for id in 1...4 { #expect(journal.add(UInt64(id), length: 960)) }
    journal.begun(1)
    journal.failed(1)
    journal.done(2)
    journal.failed(4)
    #expect(!journal.hasRoom(for: 4033) && journal.usedBytes == 4096 && journal.add(5, length: 960))
    #expect(journal.ids == [3, 4, 5] && journal.add(6, length: 960) && !journal.hasRoom(for: 0))
    // Behind one that is to be sent it gives no room, and is kept.
    #expect(image.open().1.inDoubtIDs.map { [$0.first, $0.last] } == [[4, 4]])
  }

  @Test func aFullOneTakesNoMoreUntilItsHeadMoves() {
    let image = JournalImage()
    let (journal, _) = image.open()
    #expect(!journal.fits(4096) && !journal.hasRoom(for: 4033) && journal.fits(4032))
    for id in 1...4 { #expect(journal.add(UInt64(id), length: 960)) }
    #expect(!journal.hasRoom(for: 0) && !journal.add(5, length: 0) && journal.usedBytes == 4096)
    journal.done(2)
    #expect(!journal.add(5, length: 0))
    journal.done(1)
    #expect(journal.usedBytes == 2048 && journal.hasRoom(for: 1984))
    #expect(journal.add(5, length: 1000))
    #expect(image.open().0.ids == [3, 4, 5])
  }

  /// The largest message finds room in an empty journal, wherever the last one has ended.
  @Test func anEmptyOneHasAllItsRoom() {
    let image = JournalImage()
    let (journal, _) = image.open()
    var id: UInt64 = 0
    for length in stride(from: 0, through: 4032, by: 24) {
      id += 1
      #expect(journal.add(id, length: length))
      #expect(image.open().0.content.map(\.payload) == [payload(id, length)])
      journal.done(id)
      id += 1
      #expect(journal.add(id, length: 4032))
      #expect(image.open().0.content.map(\.payload) == [payload(id, 4032)])
      journal.done(id)
      #expect(journal.usedBytes == 0)
    }
  }

  @Test func idsMayBeMissing() {
    let image = JournalImage(capacity: 64 << 10)
    let (journal, _) = image.open()
    let ids: [UInt64] = [1, 2, 5, 6, 7, 20, 21, 1000]
    for id in ids { journal.add(id) }
    for id in ids.reversed() where id != 6 {
      journal.done(id - 1 == 6 ? 7 : id)
      journal.done(id + 100)
    }
    #expect(journal.ids == [6])
    #expect(image.open().0.ids == [6])
    #expect(image.open().0.lastID == 1000)
  }

  @Test func theSaltTellsJournalsApart() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...5 { journal.add(UInt64(id)) }
    let other = JournalImage(salt: 1)
    // The words and records of the one, the salt of the other.
    for offset in 64..<image.size { other[offset] = image[offset] }
    let (next, found) = other.open()
    #expect(next.ids.isEmpty && found.cutBytes > 0 && found.cutMessages == 5)
  }

  @Test func whatIsNoJournalIsTold() {
    let image = JournalImage()
    image[8] = 2
    #expect(image.inspection == .otherVersion(2))
    image[8] = 1
    image[17] ^= 1
    #expect(image.inspection == .damaged)
    image[0] ^= 1
    #expect(image.inspection == .foreign)
    for count in 0..<36 {
      #expect(JournalFormat.inspect(UnsafeRawBufferPointer(start: JournalImage().memory, count: count)) == .foreign)
    }
    #expect(JournalFormat.capacity(ofFile: 64 << 10) == 60 << 10)
    #expect(JournalFormat.capacity(ofFile: 70000) == 64 << 10)
  }
}
