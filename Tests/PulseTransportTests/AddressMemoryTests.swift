// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Testing

@testable import PulseTransport

/// The memory is the process's: each test has addresses of its own, and its turn.
@Suite(.serialized) struct AddressMemoryTests {
  private func addresses(_ network: UInt64, _ count: Int) -> [SocketAddress] {
    (1...count).map { SocketAddress(psys_address(high: network, low: UInt64($0), scope: 0, port: 443, family: 6)) }
  }

  @Test func failuresGoBehindTheOthersTheOldestFirst() {
    let list = addresses(1, 4)
    #expect(AddressMemory.ordered(list) == (list, 4))
    AddressMemory.note(list[2], .failed)
    AddressMemory.note(list[0], .failedForGood)
    #expect(AddressMemory.ordered(list) == ([list[1], list[3], list[2], list[0]], 2))
    AddressMemory.note(list[2], .failed)
    #expect(AddressMemory.ordered(list) == ([list[1], list[3], list[0], list[2]], 2))
    #expect(AddressMemory.hasSound(list, from: 3))
    #expect(!AddressMemory.hasSound(list, from: 4))
    #expect(!AddressMemory.hasSound([list[0], list[2]], from: 0))
  }

  @Test func aSuccessForgets() {
    let list = addresses(2, 2)
    #expect(!AddressMemory.hasHope(list))
    AddressMemory.note(list[0], .failedForGood)
    #expect(!AddressMemory.hasHope(list))
    AddressMemory.note(list[1], .failed)
    #expect(AddressMemory.hasHope(list) && AddressMemory.ordered(list) == (list, 0))
    AddressMemory.note(list[0], .served)
    AddressMemory.note(list[1], .failedForGood)
    #expect(AddressMemory.hasHope(list) && AddressMemory.ordered(list) == (list, 1))
  }

  @Test func noneIsLostWhenAllHaveFailed() {
    let list = addresses(3, 5)
    for address in list.reversed() { AddressMemory.note(address, .failed) }
    #expect(AddressMemory.ordered(list) == (list.reversed(), 0))
    #expect(AddressMemory.ordered(list + list).list.count == 10)
    #expect(AddressMemory.ordered([]) == ([], 0))
  }

  @Test func theMemoryIsBounded() {
    let list = addresses(4, 600)
    for address in list { AddressMemory.note(address, .failed) }
    let sound = AddressMemory.ordered(list).sound
    #expect(sound >= 344 && sound < 600)
    #expect(AddressMemory.hasHope([list[599]]) && !AddressMemory.hasHope([list[0]]))
  }

  @Test func anAddressThatFailedBehindTCPComesLast() throws {
    let bad = try Listener(.loopback(port: 0)), good = try Listener(.loopback(port: 0))
    AddressMemory.note(bad.address, .failed)
    let connected = try ConnectorTests().connect([bad.address, good.address], attemptDelay: 100 * patience).get()
    #expect(connected.address == good.address)
    psys_close(connected.descriptor)
    let last = try ConnectorTests().connect([bad.address, RefusingPort().address]).get()
    #expect(last.address == bad.address)
    psys_close(last.descriptor)
  }
}
