// SPDX-License-Identifier: Apache-2.0
import CPulseSys

/// Random bytes of the kernel, drawn 1 KiB at a time: a mask key for each frame must not cost a system call each.
/// Used bytes are wiped; a forked child starts with a buffer of its own. One thread at a time.
package final class SecureRandom {  // a class, so that its owner may keep it in a `let`
  private static let capacity = 1024
  private var buffer: UnsafeMutableRawPointer?
  private var used = SecureRandom.capacity
  private var generation: UInt32 = 0

  package init() {}

  deinit {
    guard let buffer else { return }
    psys_wipe(buffer, Self.capacity)
    psys_free(buffer)
  }

  package func next32() -> UInt32 {
    if used &+ 4 > Self.capacity || generation != psys_fork_generation() { refill() }
    guard let buffer else { return directly() }
    let place = buffer + used
    let word = place.loadUnaligned(as: UInt32.self)
    place.storeBytes(of: 0, as: UInt32.self)
    used &+= 4
    return word
  }

  package func next64() -> UInt64 { UInt64(next32()) << 32 | UInt64(next32()) }

  /// Fills with bytes from the kernel directly.
  package func fill(_ bytes: UnsafeMutableRawBufferPointer) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    psys_random(start, bytes.count)
  }

  /// There is no memory for the buffer: straight from the kernel.
  private func directly() -> UInt32 {
    var word: UInt32 = 0
    withUnsafeMutableBytes(of: &word) { fill($0) }
    return word
  }

  @inline(never)
  private func refill() {
    generation = psys_fork_generation()
    if buffer == nil { buffer = psys_malloc(Self.capacity) }
    guard let buffer else { return }
    psys_random(buffer, Self.capacity)
    used = 0
  }
}
