// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What a client knows of numbers when another connection begins to bring them.
@Suite struct FeedTests {
  private static let second: Int64 = 1_000_000_000

  private func feed(_ path: String, key: String? = nil, previous: String? = nil, overlap: Int64? = nil, hasTwin: Bool = false)
    throws -> Feed
  {
    let rules = Inbound.Rules()
    rules.sequencePath = try path.split(separator: ",").map { try jsonPath(String($0)) }
    rules.sequenceKey = try key.map { [try jsonPath($0)] } ?? []
    rules.sequencePrevious = try previous.map { try jsonPath($0) }
    if let overlap { rules.rotationOverlap = overlap }
    rules.hasTwin = hasTwin
    return try #require(Feed.make(rules, seed: (1, 2)))
  }

  private func read(_ feed: Feed, _ message: String) {
    Array(message.utf8).withUnsafeBytes { feed.read($0) }
  }

  /// As a client does with a message: nil for a copy.
  private func take(_ feed: Feed, _ message: String, at now: Int64 = 0) -> SequenceCheck.Verdict? {
    read(feed, message)
    guard let number = feed.number, let place = feed.admit(number, now: now) else { return nil }
    return feed.check.judge(place.key, first: place.first, last: place.last, previous: place.previous)
  }

  @Test func thereIsNothingToKnow() throws {
    let rules = Inbound.Rules()
    #expect(Feed.make(rules, seed: (1, 2)) == nil)
    // Keys are for the policy that conflates, or for their staleness; what only goes with numbers is for nobody alone.
    rules.keyPath = [try jsonPath("k")]
    rules.sequenceKey = [try jsonPath("s")]
    rules.sequencePrevious = try jsonPath("pu")
    #expect(Feed.make(rules, seed: (1, 2)) == nil)
    rules.staleKeyTimeout = 1
    let feed = try #require(Feed.make(rules, seed: (1, 2)))
    read(feed, #"{"k":"a","s":"b","u":1,"pu":0}"#)
    #expect(feed.key == 0 && feed.number == nil && feed.keyCount == 1)
    // More paths than a message is looked through for.
    rules.keyPath = try (0...FieldReader.maxPaths).map { try jsonPath("k\($0)") }
    #expect(Feed.make(rules, seed: (1, 2)) == nil)
  }

  @Test func aMessageWithoutItsPlace() throws {
    let ranges = try feed("U,u", key: "s")
    for message in [#"{"s":"a","U":1}"#, #"{"s":"a","u":1}"#, #"{"U":1,"u":2}"#, #"{"s":"a","U":1,"u":-2}"#, "[]", ""] {
      read(ranges, message)
      #expect(ranges.number == nil && ranges.key == -1, "\(message)")
    }
    read(ranges, #"{"s":"a","U":3,"u":2}"#)
    // Some name the last one first.
    #expect(ranges.number == FeedNumber(key: 0, first: 2, last: 3))
    // Nobody's place is left over from the message before.
    read(ranges, "no JSON")
    #expect(ranges.number == nil)
  }

  @Test func copiesOfTheConnectionBefore() throws {
    let feed = try feed("u", key: "s")
    #expect(take(feed, #"{"s":"a","u":7}"#) == .first)
    #expect(take(feed, #"{"s":"b","u":3}"#) == .first)
    feed.startGeneration(0)
    #expect(take(feed, #"{"s":"a","u":6}"#) == nil)
    #expect(take(feed, #"{"s":"a","u":7}"#) == nil)
    #expect(take(feed, #"{"s":"a","u":8}"#) == .fine)
    // What the new one has brought itself is no copy any more.
    #expect(take(feed, #"{"s":"a","u":8}"#) == .repeated)
    #expect(take(feed, #"{"s":"b","u":3}"#) == nil)
    #expect(take(feed, #"{"s":"b","u":5}"#) == .gap(expected: 4, missing: 1))
  }

  /// A server that has begun to count anew would else be mute until it has come to the old numbers.
  @Test func copiesHaveAnEnd() throws {
    let feed = try feed("u", overlap: FeedTests.second)
    #expect(take(feed, #"{"u":1000}"#) == .first)
    let begin = 5 * FeedTests.second
    feed.startGeneration(begin)
    #expect(take(feed, #"{"u":1}"#, at: begin) == nil)
    #expect(take(feed, #"{"u":2}"#, at: begin + FeedMerge.restartTime - 1) == nil)
    #expect(!feed.isBehind)
    #expect(take(feed, #"{"u":3}"#, at: begin + FeedMerge.restartTime) == .stepBack(last: 1000))
    #expect(feed.isBehind)
    #expect(take(feed, #"{"u":4}"#, at: begin + FeedMerge.restartTime) == .stepBack(last: 1000))
  }

  /// The copies last as long as one side may lag behind the other.
  @Test func copiesLastAnOverlap() throws {
    let feed = try feed("u", overlap: 60 * FeedTests.second)
    #expect(take(feed, #"{"u":10}"#) == .first)
    feed.startGeneration(0)
    #expect(take(feed, #"{"u":9}"#, at: 59 * FeedTests.second) == nil)
    #expect(take(feed, #"{"u":10}"#, at: 60 * FeedTests.second) == .repeated)
  }

  @Test func changesThatAreCutInOtherWays() throws {
    let feed = try feed("U,u")
    #expect(take(feed, #"{"U":1,"u":10}"#) == .first)
    feed.startGeneration(0)
    #expect(take(feed, #"{"U":4,"u":9}"#) == nil)
    #expect(take(feed, #"{"U":9,"u":14}"#) == .fine)
    // From here on it is one connection's own mistake.
    #expect(take(feed, #"{"U":13,"u":18}"#) == .stepBack(last: 14))
  }

  @Test func changesThatAreCutInOtherWaysAndNameTheOneBefore() throws {
    let feed = try feed("u", previous: "pu")
    #expect(take(feed, #"{"pu":1,"u":10}"#) == .first)
    feed.startGeneration(0)
    #expect(take(feed, #"{"pu":7,"u":12}"#) == .fine)
    #expect(take(feed, #"{"pu":13,"u":15}"#) == .gap(expected: 12, missing: -1))
  }

  @Test func twinsAreCutInOtherWaysAllTheTime() throws {
    let feed = try feed("U,u", hasTwin: true)
    #expect(take(feed, #"{"U":1,"u":10}"#) == .first)
    #expect(take(feed, #"{"U":6,"u":15}"#) == .fine)
    #expect(take(feed, #"{"U":11,"u":20}"#) == .fine)
    #expect(take(feed, #"{"U":22,"u":25}"#) == .gap(expected: 21, missing: 1))
    #expect(take(feed, #"{"U":9223372036854775807,"u":9223372036854775807}"#) == .gap(expected: 26, missing: .max - 26))
  }

  // MARK: What the connection before still has to bring

  @Test func jointsAreReached() throws {
    var joints = Joints()
    let feed = try feed("u", key: "s")
    #expect(feed.hasReached(&joints))
    #expect(take(feed, #"{"s":"a","u":7}"#) == .first)
    for message in [#"{"s":"a","u":10}"#, #"{"s":"a","u":11}"#, #"{"s":"new","u":1}"#, #"{"no":1}"#] {
      read(feed, message)
      feed.noteJoint(in: &joints)
    }
    // 8 and 9 are not there.
    #expect(!feed.hasReached(&joints))
    #expect(take(feed, #"{"s":"a","u":8}"#) == .fine)
    #expect(!feed.hasReached(&joints))
    #expect(take(feed, #"{"s":"a","u":9}"#) == .fine)
    #expect(feed.hasReached(&joints))
    joints = Joints()
    read(feed, #"{"s":"a","u":20}"#)
    feed.noteJoint(in: &joints)
    #expect(!feed.hasReached(&joints))
    joints = Joints()
    #expect(feed.hasReached(&joints))
  }

  @Test func jointsByTheOneBefore() throws {
    var joints = Joints()
    let feed = try feed("u", previous: "pu")
    #expect(take(feed, #"{"pu":1,"u":10}"#) == .first)
    read(feed, #"{"pu":15,"u":20}"#)
    feed.noteJoint(in: &joints)
    #expect(!feed.hasReached(&joints))
    #expect(take(feed, #"{"pu":10,"u":15}"#) == .fine)
    #expect(feed.hasReached(&joints))
    // A snapshot begins anew: there is nothing to come up to.
    joints = Joints()
    read(feed, #"{"u":99}"#)
    feed.noteJoint(in: &joints)
    #expect(feed.hasReached(&joints))
  }

  /// Numbers need not follow each other: the connection before has to come up to the successor's first one itself.
  @Test func jointsOfNumbersThatOnlyIncrease() throws {
    var joints = Joints()
    let rules = Inbound.Rules()
    rules.sequencePath = [try jsonPath("u")]
    rules.isIncreasing = true
    let feed = try #require(Feed.make(rules, seed: (1, 2)))
    #expect(take(feed, #"{"u":3}"#) == .first)
    read(feed, #"{"u":20}"#)
    feed.noteJoint(in: &joints)
    #expect(take(feed, #"{"u":19}"#) == .fine)
    #expect(!feed.hasReached(&joints))
    #expect(take(feed, #"{"u":20}"#) == .fine)
    #expect(feed.hasReached(&joints))
  }

  /// A key that the connection before has never had is nothing to wait for; the successor's first one counts.
  @Test func jointsAreOfTheFirst() throws {
    var joints = Joints()
    let feed = try feed("u", key: "s")
    #expect(take(feed, #"{"s":"a","u":3}"#) == .first)
    for message in [#"{"s":"b","u":70}"#, #"{"s":"a","u":5}"#, #"{"s":"a","u":9}"#] {
      read(feed, message)
      feed.noteJoint(in: &joints)
    }
    #expect(take(feed, #"{"s":"a","u":4}"#) == .fine)
    #expect(feed.hasReached(&joints))
  }
}
