// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A file that is mapped into memory and belongs to one user: no other process has it, nor another part of this one.
/// Its owner sees to it that one thread at a time uses it.
package final class JournalFile: @unchecked Sendable {  // guarded by the owner
  /// The files of this process: the lock of the system is one of processes.
  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    /// Device and inode of each.
    var open: [UInt64] = []

    /// -1 if it is not open.
    func find(_ device: UInt64, _ inode: UInt64) -> Int {
      for place in stride(from: 0, to: open.count, by: 2) where open[place] == device && open[place &+ 1] == inode { return place }
      return -1
    }
  }

  // A child has none of the files: it may open those of a parent that is gone.
  private static let local = ForkLocal<Shared>()

  /// Bytes when it was opened; 0 if there is nothing in it yet.
  package let size: Int
  private let path: String
  private let mark = ForkMark()
  private let device: UInt64
  private let inode: UInt64
  /// This process has made it, and nobody has put anything into it since: when the set-up fails it goes again.
  private let isNew: Bool
  /// Another process may come between the opening and the lock so often.
  private static let tries = 8
  private var descriptor: Int32
  private var memory: UnsafeMutableRawPointer?
  private var mappedBytes = 0

  private init(_ path: String, _ descriptor: Int32, _ file: psys_file, isNew: Bool) {
    self.path = path
    self.descriptor = descriptor
    self.isNew = isNew
    size = Int(file.size)
    device = file.device
    inode = file.inode
  }

  deinit { close() }

  /// Opens and locks a file; makes one if there is none.
  package static func open(_ path: String) throws(TransportError) -> JournalFile {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    for _ in 0..<tries {
      if let file = try attempt(path, shared) { return file }
    }
    throw problem(path, "is in use by another process")
  }

  /// Nil when another process has changed the file before it was locked.
  private static func attempt(_ path: String, _ shared: Shared) throws(TransportError) -> JournalFile? {
    var file = psys_file()
    // Before it is opened: to close a file gives up the lock that another descriptor of this process has on it.
    if psys_file_look(path.cString, &file) == 0 {
      if file.is_regular == 0 { throw problem(path, "is not a regular file") }
      if isOpen(file, shared) { throw problem(path, "is in use by another client of this process") }
    }
    var created: Int32 = 0
    let descriptor = psys_file_open(path.cString, &file, &created)
    if descriptor < 0 { throw failure(path, "can't be opened", -descriptor) }
    if isOpen(file, shared) {
      // It came to this path a moment ago; see above why the descriptor stays open.
      throw problem(path, "is in use by another client of this process")
    }
    if file.is_regular == 0 {
      psys_close(descriptor)
      throw problem(path, "is not a regular file")
    }
    let holder = psys_file_lock(descriptor)
    if holder != 0 {
      psys_close(descriptor)
      if holder > 0 { throw problem(path, "is in use by process \(holder)") }
      if holder == -psys_EAGAIN { throw problem(path, "is in use by another process") }
      throw failure(path, "can't be locked", -holder)
    }
    // Another process may have had the lock since the file was opened: it has filled the file, which must not begin
    // anew, or has removed it, and then nobody would find what is stored here.
    var locked = psys_file()
    guard psys_file_look(path.cString, &locked) == 0, locked.device == file.device,
      locked.inode == file.inode
    else {
      psys_close(descriptor)
      return nil
    }
    shared.open.append(locked.device)
    shared.open.append(locked.inode)
    return JournalFile(path, descriptor, locked, isNew: created != 0 && locked.size == 0)
  }

  private static func isOpen(_ file: psys_file, _ shared: Shared) -> Bool {
    shared.find(file.device, file.inode) >= 0
  }

  /// What is wrong with the file, as a sentence.
  package func problem(_ text: Sentence) -> TransportError { JournalFile.problem(path, text) }

  private static func problem(_ path: String, _ text: Sentence) -> TransportError {
    TransportError(.io, "the journal \(quoted: path.bytes[...], limit: 256) \(text)")
  }

  private static func failure(_ path: String, _ text: Sentence, _ errno: Int32) -> TransportError {
    problem(path, "\(text): \(systemText(errno))")
  }

  /// Writes the beginning of a new file.
  package func begin(with page: [UInt8]) throws(TransportError) {
    var status: Int32 = 0
    page.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { status = psys_file_write(descriptor, start, bytes.count, 0) }
    }
    if status != 0 { throw setUpFailed("can't be written", -status) }
  }

  /// Reads the beginning; zeros stand for what the file does not have.
  package func read(_ count: Int) throws(TransportError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var status: Int64 = 0
    bytes.withUnsafeMutableBytes { buffer in
      if let start = buffer.baseAddress { status = psys_file_read(descriptor, start, buffer.count, 0) }
    }
    if status < 0 { throw JournalFile.failure(path, "can't be read", Int32(-status)) }
    return bytes
  }

  /// Makes sure that the disk has room for so many bytes, now and later, and maps them.
  package func map(_ bytes: Int) throws(TransportError) -> UnsafeMutableRawPointer {
    let status = psys_file_reserve(descriptor, Int64(bytes))
    if status != 0 { throw setUpFailed("can't have \(bytes) bytes", -status) }
    var error: Int32 = 0
    guard let mapped = psys_map(descriptor, bytes, &error) else { throw setUpFailed("can't be mapped", error) }
    memory = mapped
    mappedBytes = bytes
    return mapped
  }

  /// Nothing is left behind half made.
  private func setUpFailed(_ text: Sentence, _ errno: Int32) -> TransportError {
    if isNew {
      psys_file_remove(path.cString)
    } else if size == 0 {
      _ = psys_file_empty(descriptor)
    }
    return JournalFile.failure(path, text, errno)
  }

  /// Gives the memory and the lock back. In a child after fork() it does nothing: all that is the parent's.
  package func close() {
    guard descriptor >= 0, !mark.isForked else { return }
    if let memory { psys_unmap(memory, mappedBytes) }
    memory = nil
    let shared = JournalFile.local.locked()
    psys_close(descriptor)
    descriptor = -1
    let place = shared.find(device, inode)
    if place >= 0, let last = shared.open.popLast(), let other = shared.open.popLast(), place < shared.open.count {
      shared.open[place] = other
      shared.open[place &+ 1] = last
    }
    shared.mutex.unlock()
  }
}
