// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct FeedStoryTests {
  private func state(_ state: String, from: String, cause: String = "", delay: String = "0", at endpoint: String = "ws://a/") -> ClientEvent
  {
    ClientEvent(
      Array(
        #"{"event":"state","state":"\#(state)","previous":"\#(from)","trigger":"x","cause":"\#(cause)","next_delay":\#(delay),"endpoint":"\#(endpoint)"}"#
          .utf8))
  }

  private func lines(_ news: [FeedStory.News]) -> [String] {
    news.compactMap { item in
      guard case .log(let level, let sentence, let fields) = item else { return nil }
      return "\(level.rawValue): \(sentence)" + fields.map { " \($0.name)=\($0.value)" }.joined()
    }
  }

  private func switches(_ news: [FeedStory.News]) -> [FeedStory.News] { news.filter { if case .switched = $0 { true } else { false } } }

  @Test func aLossIsToldOnceUntilItIsBack() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/"])
    #expect(lines(story.take(state("connecting", from: "disconnected"), now: 0)) == [])
    #expect(lines(story.take(state("connected", from: "connecting"), now: 0)) == ["info: a feed is connected feed=f endpoint=f"])
    #expect(!story.isUp)
    #expect(story.take(.ready, now: 0) == [.ready])
    #expect(story.isUp)
    #expect(
      lines(story.take(state("reconnecting", from: "connected", cause: "the connection was reset", delay: "0.7"), now: 0)) == [
        "warning: a feed is lost feed=f cause=the connection was reset next_attempt=in 0.7 s"
      ])
    #expect(!story.isUp && story.outages == 1)
    for _ in 0..<100 {
      #expect(story.take(state("reconnecting", from: "reconnecting"), now: 0) == [])
      #expect(story.take(state("reconnecting", from: "reconnecting", cause: "connection refused", delay: "2"), now: 0) == [])
    }
    #expect(story.outages == 1)
    #expect(lines(story.take(state("connected", from: "reconnecting"), now: 0)).count == 1)
    #expect(lines(story.take(state("error", from: "connected", cause: "404"), now: 0)) == ["error: a feed has given up feed=f cause=404"])
  }

  @Test func oneThatNeverCameIsToldOnce() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/"])
    let first = story.take(state("reconnecting", from: "connecting", cause: "connection refused", delay: "1"), now: 0)
    #expect(lines(first) == ["warning: a feed can't be connected feed=f cause=connection refused next_attempt=in 1 s"])
    #expect(story.take(state("reconnecting", from: "reconnecting", cause: "connection refused", delay: "2"), now: 0) == [])
  }

  @Test func oneThatIsClosedOnPurposeIsNoLoss() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/"])
    _ = story.take(state("connected", from: "connecting"), now: 0)
    _ = story.take(.ready, now: 0)
    #expect(story.take(state("disconnected", from: "connected", cause: "closed"), now: 0) == [])
    #expect(!story.isUp)
    // The next time it is wanted, and does not come, is another story.
    _ = story.take(state("connecting", from: "disconnected"), now: 0)
    #expect(lines(story.take(state("reconnecting", from: "connecting", cause: "refused"), now: 0)).count == 1)
  }

  @Test func flappingDoesNotFillTheLog() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/"])
    var count = 0
    for _ in 0..<1000 {
      count += lines(story.take(state("connected", from: "reconnecting"), now: 0)).count
      count += lines(story.take(state("reconnecting", from: "connected", cause: "reset"), now: 0)).count
    }
    #expect(count == 12)
    let later = lines(story.take(state("connected", from: "reconnecting"), now: 60_000_000_000))
    #expect(later == ["info: a feed is connected feed=f endpoint=f lines_left_out=1988"])
  }

  @Test func anotherEndpointIsToldToAll() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/", "ws://b/x"])
    #expect(switches(story.take(state("connected", from: "connecting"), now: 0)) == [])
    _ = story.take(state("reconnecting", from: "connected", cause: "the connection was reset"), now: 0)
    #expect(
      switches(story.take(state("connected", from: "reconnecting", at: "ws://b/x"), now: 0)) == [
        .switched(from: "f-1", to: "f-2", cause: "the connection was reset")
      ])
    _ = story.take(state("reconnecting", from: "connected", cause: "x", at: "ws://b/x"), now: 0)
    #expect(switches(story.take(state("connected", from: "reconnecting", at: "ws://b/x"), now: 0)) == [])
    let back = ClientEvent(Array(#"{"event":"endpoint","endpoint":"ws://a/","cause":"back to the preferred endpoint"}"#.utf8))
    #expect(switches(story.take(back, now: 0)) == [.switched(from: "f-2", to: "f-1", cause: "back to the preferred endpoint")])
    let rotation = ClientEvent(Array(#"{"event":"rotation","step":"done","cause":"max_age","endpoint":"ws://a/"}"#.utf8))
    #expect(story.take(rotation, now: 0) == [])
  }

  @Test func aCauseHasNoURL() {
    #expect(FeedStory.withoutURLs("wss://h:1/key/hidden: no data for 3 s") == "no data for 3 s")
    #expect(FeedStory.withoutURLs("moved to wss://h/x, and back") == "moved to and back")
    #expect(FeedStory.withoutURLs("can't connect to h:9443: connection refused") == "can't connect to h:9443: connection refused")
  }

  @Test func silenceIsAnOutageOfItsOwn() {
    var story = FeedStory(name: "f", endpoints: ["ws://a/"])
    _ = story.take(state("connected", from: "connecting"), now: 0)
    _ = story.take(.ready, now: 0)
    let silent = story.take(ClientEvent(Array(#"{"event":"stale","silence":60.001,"action":"reconnect"}"#.utf8)), now: 0)
    #expect(lines(silent) == ["warning: a feed is silent feed=f cause=no data for 60.001 s"])
    #expect(!story.isUp && story.wasMute && story.outages == 1)
    _ = story.take(state("reconnecting", from: "connected", cause: "ws://a/: no data"), now: 0)
    #expect(story.wasMute && story.outages == 1)
    _ = story.take(.ready, now: 0)
    #expect(story.isUp && story.wasMute)
    _ = story.take(.fresh, now: 0)
    #expect(!story.wasMute)
  }

  @Test func whatIsNoEventIsNone() {
    for text in ["", "{}", "[]", #"{"event":1}"#, #"{"event":"ready"#, #"{"event":"rotation","step":"begin"}"#] {
      #expect(ClientEvent(Array(text.utf8)) == .other)
    }
    #expect(ClientEvent(Array(#"{"event":"subscription_rejected","key":"a\"b","text":"x"}"#.utf8)) == .rejected(key: "a\"b"))
  }
}
