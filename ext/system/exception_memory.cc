// Memory for exceptions when there is no other memory left.
//
// The exception here is std::bad_alloc, so it is thrown when memory has ended. The C++ library,
// which is linked into this one, then needs two things. It keeps a state for each thread in
// thread-local storage, which the system allocates when a thread first asks for it; where it
// cannot, glibc ends the process ("cannot allocate memory for thread-local data"). And it needs
// memory for the exception itself, for which it puts some aside when the library is loaded; where
// that fails, it ends the process, too. The functions below replace the library's own
// (https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html, 2.2.2 and 2.4.2): they ask for memory,
// and where they get none they take it from a table in this library. test_no_memory.py holds that
// no thread-local storage is left. Where the C++ library is linked dynamically they are not called.
// LLVM's library has the functions of 2.4.2 in one file with those that throw, so that they cannot
// be replaced. They take their memory from functions of that library which can (fallback_malloc.h).
//
// Thread rules: any thread; each sees its own state.
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace {

struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
#if defined(__ARM_EABI_UNWINDER__)
  void* propagating = nullptr;
#endif
};

// For threads that found no memory. A place stays taken; when its thread has ended, a new thread
// with the same pthread_t uses it again.
struct Place {
  std::atomic<bool> taken{false};
  std::atomic<bool> named{false};  // `thread` can be read
  pthread_t thread{};
  ExceptionState state;
};

constexpr std::size_t kPlaces = 256;

struct States {
  States() : has_key(pthread_key_create(&key, std::free) == 0) {}
  pthread_key_t key{};
  const bool has_key;
  std::array<Place, kPlaces> places;
};

States& TheStates() {
  static States states;
  return states;
}
[[maybe_unused]] const States& made_at_load = TheStates();

ExceptionState* OfThisThread() {
  States& states = TheStates();
  if (states.has_key) {
    if (void* known = pthread_getspecific(states.key)) return static_cast<ExceptionState*>(known);
  }
  const pthread_t self = pthread_self();
  for (Place& place : states.places) {
    // Acquire: pairs with the store below, of an earlier thread with the same pthread_t.
    if (place.named.load(std::memory_order_acquire) && pthread_equal(place.thread, self) != 0) {
      return &place.state;
    }
  }
  if (states.has_key) {
    if (void* made = std::calloc(1, sizeof(ExceptionState))) {
      if (pthread_setspecific(states.key, made) == 0) return static_cast<ExceptionState*>(made);
      std::free(made);
    }
  }
  for (Place& place : states.places) {
    if (place.taken.exchange(true)) continue;
    place.thread = self;
    // Release: a thread that sees it sees `thread`, too.
    place.named.store(true, std::memory_order_release);
    return &place.state;
  }
  std::abort();  // more threads than places throw for the first time, and no memory for any
}

// The library keeps a header before the exception: 128 bytes on 64-bit machines in GCC 12. More
// does no harm, since it counts back from the exception.
constexpr std::size_t kHeaderBytes = 256;
constexpr std::size_t kExceptionBytes = 256;  // of one from the table; std::bad_alloc has 8

struct alignas(std::max_align_t) Piece {
  std::array<std::byte, kHeaderBytes + kExceptionBytes> bytes;
};

// Exceptions that are under way at one moment.
constexpr std::size_t kPieces = 64;
std::array<Piece, kPieces> pieces;
std::array<std::atomic<bool>, kPieces> piece_taken;

void* TakePiece() {
  for (std::size_t i = 0; i < kPieces; ++i) {
    // Acquire: what another thread did with the piece before it gave it back is done.
    if (!piece_taken[i].exchange(true, std::memory_order_acquire)) return pieces[i].bytes.data();
  }
  return nullptr;
}

// False where it is not of the table.
bool GiveBackPiece(const void* memory) {
  for (std::size_t i = 0; i < kPieces; ++i) {
    if (pieces[i].bytes.data() != memory) continue;
    // Release: pairs with TakePiece().
    piece_taken[i].store(false, std::memory_order_release);
    return true;
  }
  return false;
}

#if !defined(_LIBCPP_VERSION)
void* AllocateException(std::size_t bytes) {
  void* memory = std::malloc(kHeaderBytes + bytes);
  if (!memory && bytes <= kExceptionBytes) memory = TakePiece();
  if (!memory) std::abort();
  std::memset(memory, 0, kHeaderBytes);
  return static_cast<std::byte*>(memory) + kHeaderBytes;
}

void FreeException(void* exception) {
  auto* memory = static_cast<std::byte*>(exception) - kHeaderBytes;
  if (!GiveBackPiece(memory)) std::free(memory);
}
#endif

}  // namespace

extern "C" {
void* __cxa_get_globals() noexcept { return OfThisThread(); }
void* __cxa_get_globals_fast() noexcept { return OfThisThread(); }
#if !defined(_LIBCPP_VERSION)
void* __cxa_allocate_exception(std::size_t bytes) noexcept { return AllocateException(bytes); }
void __cxa_free_exception(void* exception) noexcept { FreeException(exception); }
// For std::rethrow_exception(), which nothing here calls: one header alone.
void* __cxa_allocate_dependent_exception() noexcept {
  return static_cast<std::byte*>(AllocateException(0)) - kHeaderBytes;
}
void __cxa_free_dependent_exception(void* header) noexcept {
  FreeException(static_cast<std::byte*>(header) + kHeaderBytes);
}
#else
// For the message with which the C++ library ends a process that an exception has left: it then
// names the type as the compiler does. The library's own function is twenty times as long as all
// of the above.
char* __cxa_demangle(const char*, char*, std::size_t*, int* status) {
  constexpr int kNotAName = -2;
  if (status) *status = kNotAName;
  return nullptr;
}
#endif
}

#if defined(_LIBCPP_VERSION)
namespace __cxxabiv1 {
[[gnu::visibility("hidden")]] void* __aligned_malloc_with_fallback(std::size_t bytes) {
  void* memory = std::malloc(bytes);  // aligned for every type without alignas
  return memory || bytes > sizeof(Piece) ? memory : TakePiece();
}
[[gnu::visibility("hidden")]] void __aligned_free_with_fallback(void* memory) {
  if (!GiveBackPiece(memory)) std::free(memory);
}
[[gnu::visibility("hidden")]] void* __calloc_with_fallback(std::size_t count, std::size_t bytes) {
  return std::calloc(count, bytes);
}
[[gnu::visibility("hidden")]] void __free_with_fallback(void* memory) { std::free(memory); }
}  // namespace __cxxabiv1
#endif
