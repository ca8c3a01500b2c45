// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import Testing

@testable import PulseEngine

/// What a full queue may and may not discard.
@Suite struct InboundFullQueueTests {
  /// Conflation lasts until the queue is empty, though no message in it had a key.
  @Test func conflationEndsWithTheQueue() throws {
    let client = try FakeClient {
      $0.policy = .conflate
      $0.limit = 16_000
      $0.keyPath = [try jsonPath("k")]
    }
    for _ in 0..<160 { client.offer(String(repeating: "x", count: 60)) }
    #expect(client.takeAll().count == 160 && client.inbound.isEmpty)
    client.offer(message(1))
    client.offer(message(2))
    #expect(client.takeTexts() == [message(1), message(2)])
  }

  /// Memory that is kept for later is no reason to conflate.
  @Test func aNearlyEmptyQueueDoesNotConflate() throws {
    let client = try FakeClient {
      $0.policy = .conflate
      $0.limit = 16_000
      $0.keyPath = [try jsonPath("k")]
    }
    for _ in 0..<290 { client.offer("0123456789") }
    #expect(client.takeAll().count == 290 && client.inbound.isEmpty)
    client.offer(message(1))
    client.offer(String(repeating: "x", count: 2000))
    client.offer(message(2))
    #expect(client.takeAll().count == 3)
  }
}
