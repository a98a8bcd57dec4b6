// Wall times of prod_virial_a of an installed libdeepmd, of the same sums without atomics, and of prod_force_a, for 416
// atoms with 150 neighbours each. How it is built and run is in docs/upstream.md.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

namespace deepmd {
template <typename T>
void prod_virial_a_cpu(T* virial, T* atom_virial, const T* net_deriv, const T* env_deriv, const T* rij,
                       const int* nlist, const int nloc, const int nall, const int nnei);
template <typename T>
void prod_force_a_cpu(T* force, const T* net_deriv, const T* env_deriv, const int* nlist, const int nloc,
                      const int nall, const int nnei, const int nframes);
}  // namespace deepmd

void without_atomics(double* virial, double* atom_virial, const double* net, const double* env, const double* rij,
                     const int* nlist, int nloc, int nall, int nnei) {
  for (int k = 0; k < 9 * nall; ++k) atom_virial[k] = 0;
  for (int i = 0; i < nloc; ++i)
    for (int j = 0; j < nnei; ++j) {
      const long pair = long(i) * nnei + j;
      if (nlist[pair] < 0) continue;
      double f[3] = {0, 0, 0};  // the sum over the four components is taken first
      for (int a = 0; a < 4; ++a)
        for (int d = 0; d < 3; ++d) f[d] += net[4 * pair + a] * env[(4 * pair + a) * 3 + d];
      for (int d0 = 0; d0 < 3; ++d0)
        for (int d1 = 0; d1 < 3; ++d1) atom_virial[9 * nlist[pair] + 3 * d0 + d1] += f[d0] * rij[3 * pair + d1];
    }
  for (int d = 0; d < 9; ++d) virial[d] = 0;
  for (int i = 0; i < nall; ++i)
    for (int d = 0; d < 9; ++d) virial[d] += atom_virial[9 * i + d];
}

template <typename F>
double milliseconds(F call) {
  call();
  const auto start = std::chrono::steady_clock::now();
  for (int k = 0; k < 50; ++k) call();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() / 50;
}

int main() {
  const int nloc = 416, nall = 2000, nnei = 150;
  std::mt19937 gen(0);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> atom(0, nall - 1);
  std::vector<double> net(4L * nloc * nnei), env(12L * nloc * nnei), rij(3L * nloc * nnei);
  for (auto* v : {&net, &env, &rij})
    for (double& x : *v) x = normal(gen);
  std::vector<int> nlist(nloc * nnei);
  for (int& j : nlist) j = atom(gen);
  std::vector<double> v1(9), v2(9), a1(9 * nall), a2(9 * nall), force(3 * nall);
  const double theirs = milliseconds([&] {
    deepmd::prod_virial_a_cpu<double>(v1.data(), a1.data(), net.data(), env.data(), rij.data(), nlist.data(), nloc, nall, nnei);
  });
  const double plain = milliseconds([&] {
    without_atomics(v2.data(), a2.data(), net.data(), env.data(), rij.data(), nlist.data(), nloc, nall, nnei);
  });
  const double forces = milliseconds([&] {
    deepmd::prod_force_a_cpu<double>(force.data(), net.data(), env.data(), nlist.data(), nloc, nall, nnei, 1);
  });
  double most = 0;
  for (int k = 0; k < 9 * nall; ++k) most = std::fmax(most, std::fabs(a1[k] - a2[k]));
  std::printf("prod_virial_a %.2f ms, without atomics %.2f ms (%.1f times), prod_force_a %.2f ms; largest difference %.1e\n",
              theirs, plain, theirs / plain, forces, most);
}
