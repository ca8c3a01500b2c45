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
    #expect(first.queued == 0 && first.inDoubt.count == 0 && first.cutBytes == 0 && journal.lastID == 0)
    for id in 1...9 { #expect(journal.add(UInt64(id), flags: .report, expiresAt: Int64(id) + 100)) }
    journal.done(3)
    journal.done(1)
    journal.begun(2)
    journal.begun(5)
    journal.queuedAgain(5)
    journal.done(99)
    journal.skip(12)
    let (next, found) = JournalImage(copyOf: image).open()
    #expect(found.queued == 6 && found.inDoubt.count == 1 && found.inDoubt.rows.first?.first == 2 && found.cutBytes == 0)
    #expect(next.ids == [2, 4, 5, 6, 7, 8, 9] && next.lastID == 12)
    let content = next.content
    #expect(content[0].isInDoubt && !content[1].isInDoubt)
    for message in content { #expect(message.payload == payload(message.id)) }
    let record = next.record(after: 8)!
    #expect(record.kind == 1 && record.flags == .report && record.acceptedAt == 9 && record.expiresAt == 109)
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
      #expect(found.inDoubt.count == 2 && found.inDoubt.rows.first?.first == 1 && found.queued == 1)
    }
    let (next, _) = image.open()
    #expect(next.add(4))
    #expect(next.ids == [3, 4])
    let (last, found) = image.open()
    #expect(found.inDoubt.count == 0 && last.ids == [3, 4])
  }

  @Test func doubtsAreToldInRows() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in [1, 2, 3, 5, 6, 7] { journal.add(UInt64(id)) }
    for id in [1, 2, 5, 7] { journal.begun(UInt64(id)) }
    let (_, found) = image.open()
    #expect(found.inDoubt.count == 4 && found.inDoubt.rows.first?.first == 1)
    #expect(found.inDoubt.rows.map { [$0.first, $0.last] } == [[1, 2], [5, 5], [7, 7]])
  }

  /// What is in doubt and has to be told is kept, whatever comes, until it was told.
  @Test func doubtIsKeptUntilItIsTold() {
    let image = JournalImage()
    let (journal, _) = image.open()
    journal.add(1)
    journal.begun(1)
    let (next, _) = image.open()
    next.keepsInDoubt = true
    #expect(next.add(2) && next.ids == [1, 2] && image.open().1.inDoubt.count == 1)
    next.doubtsAreTold()
    #expect(next.ids == [2] && image.open().1.inDoubt.count == 0)
  }

  private func rows(_ rows: Journal.Rows) -> [[UInt64]] { rows.rows.map { [$0.first, $0.last] } }

  @Test func whatWasDiscardedIsKeptUntilItIsTold() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...9 { journal.add(UInt64(id)) }
    journal.discarded(1, .failed)
    #expect(journal.ids == [2, 3, 4, 5, 6, 7, 8, 9])
    journal.keepsNews = true
    journal.begun(2)
    journal.discarded(2, .failed)
    for id in [4, 5, 6] { journal.discarded(UInt64(id), .dropped) }
    journal.newsIsQueued()
    journal.discarded(7, .dropped)
    for id in [9, 8] { journal.discarded(UInt64(id), .expired) }
    let (_, found) = JournalImage(copyOf: image).open()
    #expect(rows(found.inDoubt) == [[2, 2]] && rows(found.dropped) == [[4, 7]] && rows(found.expired) == [[8, 9]])
    #expect(found.failed == 1 && found.queued == 1 && found.unlisted == 0)
    journal.newsIsTaken()
    #expect(journal.ids == [3])
    let (next, rest) = image.open()
    #expect(rest.inDoubt.count == 0 && rows(rest.dropped) == [[7, 7]] && rows(rest.expired) == [[8, 9]])
    // The next one tells it again, until its application has taken that and goes on.
    next.keepsInDoubt = true
    next.add(10)
    #expect(image.open().1.dropped.count == 1)
    next.doubtsAreTold()
    let last = image.open().1
    #expect(last.dropped.count == 0 && last.expired.count == 0 && last.queued == 2)
  }

  /// The process ends between the two marks of one message.
  @Test func anIDHasOneAnswer() {
    let image = JournalImage()
    let (journal, _) = image.open()
    journal.add(1)
    journal.add(2)
    journal.news.add(1, JournalNews.Kind.expired)
    let (next, found) = image.open()
    #expect(rows(found.expired) == [[1, 1]] && found.queued == 1 && next.ids == [2])
  }

  @Test func newsIsBounded() {
    let image = JournalImage(capacity: 1 << 20)
    let (journal, _) = image.open()
    journal.keepsNews = true
    for id in 1...2000 { journal.add(UInt64(id)) }
    for id in stride(from: 1, to: 2000, by: 2) { journal.discarded(UInt64(id), .expired) }
    let (next, found) = image.open()
    #expect(found.expired.rows.count == JournalNews.capacity && Int(found.unlisted) == 1000 - JournalNews.capacity)
    // In any order rows grow together again.
    next.add(2001)
    #expect(image.open().1.unlisted == 0)
    next.keepsNews = true
    for id in (1...1000).map({ $0 * 2 }).reversed() { next.discarded(UInt64(id), .dropped) }
    #expect(Int(image.open().1.dropped.count + image.open().1.unlisted) == 1000)
  }

  @Test func damagedNewsIsForgotten() {
    let image = JournalImage()
    let (journal, _) = image.open()
    journal.keepsNews = true
    for id in 1...3 { journal.add(UInt64(id)) }
    journal.discarded(2, .dropped)
    for offset in 192..<(192 + 8 + 24) {
      for bit in 0..<8 {
        let copy = JournalImage(copyOf: image)
        copy[offset] ^= 1 << bit
        let (_, found) = copy.open()
        #expect(found.dropped.count + found.expired.count + found.inDoubt.count <= 3 && found.unlisted <= 3)
      }
    }
  }

  /// What is to be sent is more than the records of what is in doubt; their ids stay.
  @Test func whatIsInDoubtGivesWay() {
    let image = JournalImage()
    let (journal, _) = image.open()
    for id in 1...4 { #expect(journal.add(UInt64(id), length: 960)) }
    for id in [1, 2, 4] { journal.begun(UInt64(id)) }
    let (next, _) = image.open()
    next.keepsInDoubt = true
    #expect(!next.hasRoom(for: 4033) && next.usedBytes == 4096 && next.add(5, length: 960))
    #expect(next.ids == [2, 3, 4, 5] && next.add(6, length: 960) && !next.hasRoom(for: 0))
    let found = image.open().1
    #expect(rows(found.inDoubt).sorted { $0[0] < $1[0] } == [[1, 2], [4, 4]] && found.queued == 3)
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
