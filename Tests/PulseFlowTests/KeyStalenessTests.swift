// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct KeyStalenessTests {
  @Test func staleAndFresh() {
    var keys = KeyStaleness(timeout: 10)
    #expect(keys.nextDeadline == nil && keys.expire(1000) == nil)
    #expect(keys.touch(0, 100) == nil && keys.touch(1, 105) == nil && keys.touch(0, 107) == nil)
    #expect(keys.nextDeadline == 115 && keys.expire(114) == nil)
    #expect(keys.expire(115)! == (1, 10))
    #expect(keys.expire(115) == nil && keys.nextDeadline == 117 && keys.staleCount == 1)
    #expect(keys.touch(1, 130) == 25 && keys.staleCount == 0)
    #expect(keys.expire(130)! == (0, 23) && keys.nextDeadline == 140)
    // Another connection: the stale key stays stale, the clock of the other one begins anew.
    keys.restart(138)
    #expect(keys.nextDeadline == 148 && keys.expire(147) == nil)
    #expect(keys.expire(150)! == (1, 12))
    #expect(keys.touch(1, 151) == 13 && keys.touch(0, 151) == 44)
    #expect(keys.touch(-1, 1) == nil && keys.touch(KeyTable.maxKeys, 1) == nil)
  }

  @Test(arguments: 1...5)
  func agreesWithALookAtAll(seed: Int) {
    var random = SeededRandom(UInt64(seed))
    var keys = KeyStaleness(timeout: 50)
    var since: [Int: Int64] = [:]
    var stale: [Int: Int64] = [:]
    var now: Int64 = 0
    for _ in 0..<20_000 {
      now += random.time(0...6)
      switch random.below(12) {
      case 0:
        let due = since.filter { $0.value + 50 <= now }
        var found: [Int: Int64] = [:]
        while let (key, silence) = keys.expire(now) { found[key] = silence }
        #expect(found == due.mapValues { now - $0 })
        for (key, time) in due {
          since[key] = nil
          stale[key] = time
        }
      case 1 where random.below(10) == 0:
        keys.restart(now)
        for key in since.keys { since[key] = now }
      default:
        let key = random.below(random.below(3) == 0 ? 30 : 5)
        #expect(keys.touch(key, now) == stale[key].map { now - $0 })
        stale[key] = nil
        since[key] = now
      }
      #expect(keys.nextDeadline == since.values.min().map { $0 + 50 })
      #expect(keys.staleCount == stale.count)
    }
  }

  @Test func aClockThatStepsBackDoesNotPutThemOutOfOrder() {
    var keys = KeyStaleness(timeout: 10)
    _ = keys.touch(0, 100)
    _ = keys.touch(1, 50)
    #expect(keys.nextDeadline == 110)
    #expect(keys.expire(110)!.key == 0 && keys.expire(110)!.key == 1)
    _ = keys.touch(2, .max)
    #expect(keys.nextDeadline == .max)
  }
}
