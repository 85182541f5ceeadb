int coho_link_torch_first();
int coho_link_torch_second();

int main() { return coho_link_torch_first() + coho_link_torch_second(); }
