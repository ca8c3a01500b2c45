// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// Random lives of a journal beside a list that says what must be in it.
@Suite struct JournalModelTests {
  private struct Message {
    var id: UInt64
    var length: Int
    var isBegun: Bool
  }

  @Test(arguments: 1...24) func behavesAsAList(_ seed: UInt64) {
    var random = SeededRandom(seed)
    let image = JournalImage(capacity: seed % 2 == 0 ? 4096 : 12288)
    var (journal, _) = image.open()
    var model: [Message] = []
    var lastID: UInt64 = 0
    var accepted = 0
    let longest = [20, 200, 1500][Int(seed % 3)]
    for _ in 0..<4000 {
      switch Int.random(in: 0..<20, using: &random) {
      case 0..<8:
        let length = Int.random(in: 0...longest, using: &random)
        lastID += UInt64.random(in: 0..<10, using: &random) == 0 ? 3 : 1
        let hadRoom = journal.hasRoom(for: length)
        let isTaken = journal.add(lastID, length: length)
        #expect(isTaken == hadRoom)
        if isTaken {
          accepted += 1
          model.append(Message(id: lastID, length: length, isBegun: false))
        } else {
          #expect(!model.isEmpty)
          journal.skip(lastID)
        }
      case 8..<13:
        // Mostly the oldest.
        guard !model.isEmpty else { continue }
        let place = Bool.random(using: &random) ? 0 : Int.random(in: 0..<model.count, using: &random)
        journal.done(model[place].id)
        model.remove(at: place)
      case 13..<16:
        guard let place = model.indices.randomElement(using: &random) else { continue }
        model[place].isBegun = Bool.random(using: &random)
        if model[place].isBegun { journal.begun(model[place].id) } else { journal.queuedAgain(model[place].id) }
      case 16:
        for message in model { journal.done(message.id) }
        model = []
      case 17:
        journal.save()
      default:
        // The process ends and the next one begins.
        let (next, found) = image.open()
        journal = next
        #expect(found.cutBytes == 0 && found.cutMessages == 0)
        #expect(Int(found.inDoubt.count) == model.filter(\.isBegun).count && found.queued == model.count - Int(found.inDoubt.count))
        #expect(journal.lastID == lastID)
        #expect(
          journal.content
            == model.map { .init(id: $0.id, isInDoubt: $0.isBegun, payload: payload($0.id, $0.length)) })
        if !model.isEmpty, found.inDoubt.count == 0 || Bool.random(using: &random) {
          // The application goes on, and with it the doubt is over.
          _ = journal.hasRoom(for: 0)
          model.removeAll(where: \.isBegun)
        } else {
          // As if the application had ended before.
          for message in model where message.isBegun { journal.done(message.id) }
          model.removeAll(where: \.isBegun)
        }
        #expect(journal.ids == model.map(\.id))
      }
      #expect(journal.usedBytes <= image.capacity)
      if model.isEmpty { #expect(journal.usedBytes == 0) }
    }
    #expect(accepted > 500)
  }
}
