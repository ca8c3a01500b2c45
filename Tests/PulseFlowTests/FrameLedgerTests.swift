// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

@Suite struct FrameLedgerTests {
  @Test func aMessageIsSentWhenItsLastByteIs() {
    var ledger = FrameLedger()
    ledger.append(bytes: 10)
    ledger.append(bytes: 5)
    ledger.written(bytes: 9)
    #expect(ledger.settle() == 0)
    ledger.written(bytes: 1)
    #expect(ledger.settle() == 1)
    #expect(ledger.pending == 1)
    ledger.written(bytes: 5)
    #expect(ledger.settle() == 1)
    #expect(ledger.pending == 0)
  }

  @Test func bytesOfNoMessageCountForNone() {
    var ledger = FrameLedger()
    ledger.skip(bytes: 100)
    ledger.append(bytes: 10)
    ledger.skip(bytes: 7)
    ledger.append(bytes: 10)
    ledger.written(bytes: 110)
    #expect(ledger.settle() == 1)
    ledger.written(bytes: 16)
    #expect(ledger.settle() == 0)
    ledger.written(bytes: 1)
    #expect(ledger.settle() == 1)
  }

  @Test func manyMessagesInStepsThatDoNotMatchThem() {
    var ledger = FrameLedger()
    var settled: UInt64 = 0
    for round in 0..<20_000 {
      ledger.append(bytes: 13)
      ledger.written(bytes: round % 2 == 0 ? 6 : 20)
      settled += ledger.settle()
      #expect(settled + UInt64(ledger.pending) == UInt64(round + 1))
    }
    #expect(settled == 20_000)
  }
}
